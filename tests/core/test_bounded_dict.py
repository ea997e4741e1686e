from core.bounded_dict import BoundedDict


def test_newest_entries_are_kept() -> None:
    entries: BoundedDict[str, int] = BoundedDict(2)
    for number, name in enumerate("abc"):
        entries[name] = number
    assert dict(entries) == {"b": 1, "c": 2}


def test_entry_that_is_set_again_is_the_newest() -> None:
    entries: BoundedDict[str, int] = BoundedDict(2)
    entries["a"] = entries["b"] = 0
    entries["a"] = 1
    assert entries.get("b") == 0, "reading makes nothing newer"
    entries["c"] = 2
    assert list(entries) == ["a", "c"]
    assert entries["a"] == 1
