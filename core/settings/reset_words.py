"""The words with which people go back to a default, in the languages of the bot: `/system aus`, `/model сброс`."""

RESERVED_WORDS = frozenset(
    {"reset", "clear", "default", "none", "off", "remove", "delete", "unset", "disable", "empty", "-"}
)
"""No persona can have such a name. A persona whose name is or contains another word is chosen by it."""
OFF_WORDS = frozenset(
    {
        *("none", "off", "disable", "disabled", "empty", "-", "no", "null", "nothing"),
        *("aus", "keine", "keins", "nichts", "nein", "deaktivieren"),
        *("ninguno", "ninguna", "nada", "desactivar", "apagar"),
        *("nenhum", "nenhuma", "não", "desativar", "desligar"),
        *("нет", "выкл", "выключить", "отключить"),
        *("ні", "немає", "вимк", "вимкнути"),
        *("オフ", "なし", "無効"),
        *("关", "关闭", "无", "没有"),
    }
)
DEFAULT_WORDS = frozenset(
    {
        *("reset", "default"),
        *("zurücksetzen", "standard"),
        *("restablecer", "reiniciar", "predeterminado", "por defecto"),
        *("redefinir", "restaurar", "resetar", "padrão"),
        *("сброс", "сбросить", "по умолчанию"),
        *("скинути", "за замовчуванням"),
        *("リセット", "デフォルト", "初期化"),
        *("重置", "默认", "恢复默认"),
    }
)
RESET_WORDS = frozenset(
    {
        *RESERVED_WORDS,
        *OFF_WORDS,
        *DEFAULT_WORDS,
        *("löschen", "entfernen"),
        *("borrar", "eliminar", "quitar"),
        *("limpar", "remover", "excluir"),
        *("удалить", "убрать", "очистить"),
        *("видалити", "прибрати", "очистити"),
        *("削除", "解除"),
        *("清除", "清空", "删除"),
    }
)
SURROUNDING_CHARS = " .!\"'`“”„«»「」。！"


def is_reset_word(text: str) -> bool:
    """Whether a person means one of `RESET_WORDS`, as in "Off."."""
    return _word(text) in RESET_WORDS


def is_reserved_word(text: str) -> bool:
    return _word(text) in RESERVED_WORDS


def is_off_word(text: str) -> bool:
    """Whether the word may also mean a value: of a setting that can be off."""
    return _word(text) in OFF_WORDS


def is_default_word(text: str) -> bool:
    """Whether the word can only mean the default, and neither "off" nor "delete"."""
    return _word(text) in DEFAULT_WORDS


def _word(text: str) -> str:
    return text.strip(SURROUNDING_CHARS).casefold()
