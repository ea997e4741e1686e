"""What a model can do: as the service's list describes it, otherwise guessed from the model's name.

Services describe their models in many formats, and some list only IDs. `fields` are those of a model, without the
nesting.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

JUDGE_PATTERN = re.compile(
    r"moderation|\b(?:qwen3|wild|nemo)?guard(?:ian)?\b|shieldgemma|content-safety|rerank|\breward\b", re.IGNORECASE
)
"""Models that judge or rank texts, even if a service lists them among those that chat."""
OTHER_PURPOSE_PATTERN = re.compile(
    rf"{JUDGE_PATTERN.pattern}|ocr\b"
    r"|\bbabbage\b|\bdavinci\b|\bcurie\b|turbo-instruct\b|computer-use|\bo\d(?:-mini)?-deep-research|realtime"
    r"|native-audio|\baqa$",
    re.IGNORECASE,
)
"""Models that judge or rank texts, complete them without a conversation, or need another API."""
OTHER_OUTPUT_PATTERN = re.compile(
    r"dall-e|gpt-image|chatgpt-image|\bimagen\b|\bflux\b|stable-?diffusion|\bsdxl\b|\bsd-?3|seedream|qwen-image|z-image"
    r"|hunyuan-?(?:image|video)|hidream|kolors|recraft|ideogram|\bsora\b|\bveo\b|\bwan-?2|\bkling(?![a-z])|cogvideo|seedance"
    r"|text-to-(?:image|video|speech|audio|music)|\b[ti]2[iv]\b|ltx-video|nova-(?:canvas|reel)|titan-image|\btts\b|-tts-"
    r"|kokoro|canopylabs/|\borpheus-(?:3b|v\d)|cosyvoice"
    r"|fish-speech|gpt-(?:4o-)?(?:mini-)?audio|\blyria\b|musicgen",
    re.IGNORECASE,
)
"""Models that draw, film, speak or make music."""
EMBEDDING_PATTERN = re.compile(
    r"embed|bge-|e5-|gte-|minilm|\bmpnet|\bparaphrase-|\bvoyage-|text-(?:similarity|search)-|\bjina-(?:clip|colbert)",
    re.IGNORECASE,
)
SPEECH_PATTERN = re.compile(
    r"whisper|transcri|speech[-_ ](?:to[-_ ]text|recognition)|\bstt\b|\basr\b|parakeet|canary-", re.IGNORECASE
)
NO_REASONING_PATTERN = re.compile(r"(?<![a-z])non?[-_ ]?(?:think|reason)", re.IGNORECASE)
REASONING_PATTERN = re.compile(
    r"\br1\b|qwq|\bqvq|think(?:ing|er)?\b|reason|\bo[1-9]\b|gpt-oss|magistral|\bglm-z1|\bernie-x|exaone-deep",
    re.IGNORECASE,
)
"""Models that always reason."""
REASONING_FAMILY_PATTERN = re.compile(
    r"\bgpt-[5-9](?!.{0,10}chat)|\bgemini-(?:2\.5|[3-9])|\bgrok-(?:[4-9]|3-mini|code)"
    r"|\bqwen-?3(?:\.\d)?(?![\w.-]{0,40}(?:instruct|2507|coder|embed|rerank|max|omni|asr|tts|image|base))"
    r"|\bglm-?(?:4\.[5-9]|[5-9])|deepseek-?v(?:3\.[1-9]|[4-9])|minimax-?m\d|seed-oss|nemotron-(?:3-)?nano"
    r"|exaone-[4-9]|kimi-k2\.[5-9]|smollm3|hunyuan-(?:a13b|t1)|\bmimo\b|intellect-[2-9]|deephermes",
    re.IGNORECASE,
)
"""Families whose models reason unless the service's list says otherwise."""
VISION_PATTERN = re.compile(
    r"(?:[-_.]|\d)vl(?:-|\b)|vlm\d?\b|vision|llava|pixtral|internvl|multimodal|\bomni\b|\bqvq|moondream|minicpm-?[vo]\b"
    r"|llama-?4\b|gemma-?3(?!n|[-:](?:1b|270m))|gpt-4o|gpt-4\.[1-9]|gpt-4-turbo(?!-preview)|\bgpt-[5-9]|(?:^|/)o(?:[1-9](?!-(?:mini|preview))\b|[4-9]-mini)"
    r"|\bgemini-|\bclaude-(?!v?[12](?!\d)|instant)|\bgrok-[4-9]|\bglm-?\d(?:\.\d)?v\b|nova-(?:lite|pro|premier)\b"
    r"|mistral-small-?(?:3\.[1-9]|[4-9]|latest|25(?:0[3-9]|1\d)|2[6-9]\d\d)|mistral-medium-?(?:[3-9]|latest|2[5-9]\d\d)"
    r"|ministral-?3\b|kimi-k2\.[5-9]|\bmolmo|idefics",
    re.IGNORECASE,
)

VISION_KEYS = ("supports_images_input", "supports_images", "supports_vision", "vision")
MODALITY_KEYS = ("input_modalities", "modalities", "modality")
ABILITY_KEYS = ("capabilities", "supported_parameters", "supported_features", "features")
REASONING_WORDS = {"reasoning", "include_reasoning", "reasoning_effort", "thinking"}
THINK_PATTERN = re.compile(r"think|reason", re.IGNORECASE)
"""In the name of a parameter: "enable_thinking", "reasoning.effort"."""
VISION_WORDS = {"vision", "multimodal"}
PURPOSE_KEYS = ("type", "task", "mode", "pipeline_tag")
CHAT_PURPOSES = re.compile(r"chat(?:[-_ ]completions?)?|conversational")
OTHER_PURPOSES = re.compile(
    r"(?:text[-_ ]to[-_ ](?!text)|(?:image|video|audio)(?![-_ ]text[-_ ]to[-_ ]text)|speech|tts|moderat|rerank|classif)"
    r".{0,100}",
    re.IGNORECASE,
)


def has_other_purpose(model_id: str, fields: Mapping[str, Any]) -> bool:
    """Whether a model can neither chat nor embed nor transcribe."""
    if isinstance(chats := _capabilities(fields).get("completion_chat"), bool):
        return not chats
    outputs = fields.get("output_modalities")
    outputs_text = "text" in outputs if isinstance(outputs, list) and outputs else None
    if _is_said_to_chat(fields) and outputs_text is not False:
        return JUDGE_PATTERN.search(model_id) is not None
    if OTHER_PURPOSE_PATTERN.search(model_id):
        return True
    if is_embedding_model(model_id, fields) or is_speech_model(model_id, fields):
        return False
    if outputs_text is not None:
        return not outputs_text
    return bool(OTHER_OUTPUT_PATTERN.search(model_id)) or any(map(OTHER_PURPOSES.fullmatch, _purposes(fields)))


def is_embedding_model(model_id: str, fields: Mapping[str, Any]) -> bool:
    """Whether a model only returns vectors."""
    if fields.get("enable_api_embeddings") is True:
        return fields.get("enable_api_chat_completions") is not True
    output_modalities = fields.get("output_modalities")
    if output_modalities in (["embedding"], ["embeddings"]) or any("embed" in word for word in _purposes(fields)):
        return True
    if _is_said_to_chat(fields):
        return False
    return bool(EMBEDDING_PATTERN.search(model_id)) and not OTHER_PURPOSE_PATTERN.search(model_id)


def is_speech_model(model_id: str, fields: Mapping[str, Any]) -> bool:
    """Whether a model only turns recordings into text."""
    input_modalities = fields.get("input_modalities")
    if isinstance(input_modalities, list) and input_modalities:
        return input_modalities == ["audio"] and fields.get("output_modalities") == ["text"]
    if _is_said_to_chat(fields):
        return False
    return any(map(SPEECH_PATTERN.search, (model_id, *_purposes(fields))))


def has_reasoning(model_id: str, fields: Mapping[str, Any]) -> bool:
    """Whether a model writes its reasoning before an answer, or can do so."""
    if fields.get("supports_reasoning") or not REASONING_WORDS.isdisjoint(_abilities(fields)):
        return True
    if NO_REASONING_PATTERN.search(model_id):
        return False
    is_in_family = REASONING_FAMILY_PATTERN.search(model_id) and not _is_said_not_to_reason(fields)
    return bool(is_in_family or REASONING_PATTERN.search(model_id))


def has_vision(model_id: str, fields: Mapping[str, Any]) -> bool:
    """Whether a model accepts images."""
    for described in (fields, _capabilities(fields)):
        for key in VISION_KEYS:
            if isinstance(described.get(key), bool):
                return bool(described[key])
    for key in MODALITY_KEYS:
        match fields.get(key):
            case str(modality):  # "text+image->text"
                return "image" in modality.partition("->")[0]
            case [*modalities] if modalities:
                return "image" in modalities
    return not VISION_WORDS.isdisjoint(_abilities(fields)) or bool(VISION_PATTERN.search(model_id))


def _is_said_to_chat(fields: Mapping[str, Any]) -> bool:
    return any(map(CHAT_PURPOSES.fullmatch, _purposes(fields)))


def _is_said_not_to_reason(fields: Mapping[str, Any]) -> bool:
    """Whether a description that would have words for it has none. Called only without such words."""
    said = (fields.get("supports_reasoning"), _capabilities(fields).get("reasoning"))
    parameters = fields.get("supported_parameters")
    if False in said or not isinstance(parameters, list):
        return False in said
    return bool(parameters) and not any(map(THINK_PATTERN.search, map(str, parameters)))


def _capabilities(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    capabilities = fields.get("capabilities")
    return capabilities if isinstance(capabilities, Mapping) else {}


def _abilities(fields: Mapping[str, Any]) -> Iterator[str]:
    """What a model is said to support: {"capabilities": {"vision": true}}, {"supported_parameters": ["reasoning"]}."""
    for key in ABILITY_KEYS:
        match fields.get(key):
            case dict(abilities):
                yield from (name for name, is_supported in abilities.items() if is_supported is True)
            case list(abilities):
                yield from (name for name in abilities if isinstance(name, str))


def _purposes(fields: Mapping[str, Any]) -> Iterator[str]:
    """What a model is said to be for: {"type": "image"}, {"task": "text-to-speech"}."""
    for key in PURPOSE_KEYS:
        value = fields.get(key)
        name = value.get("name") if isinstance(value, Mapping) else value  # {"task": {"name": "Text Generation"}}
        if isinstance(name, str):
            yield name.lower()
