from core.api.catalogue import Model
from core.texts.models import ambiguous_model, unknown_model

PHI, LLAMA = Model("microsoft/phi-4"), Model("meta-llama/Llama-3.3-70B-Instruct")


def test_one_similar_model_is_suggested() -> None:
    assert unknown_model("phi-5", PHI) == "No model matches “phi-5”. Did you mean `microsoft/phi-4`?"


def test_several_models_are_listed() -> None:
    text = ambiguous_model("i", [PHI, LLAMA])
    assert text.startswith("Several models match “i”.")
    assert "- `microsoft/phi-4`\n- `meta-llama/Llama-3.3-70B-Instruct`" in text
