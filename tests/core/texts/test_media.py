"""Texts about pictures and recordings."""

import pytest

from core.errors import DeliveryFailure, DocumentError, DocumentFailure, ModelError, ModelFailure
from core.texts import images, speech


@pytest.mark.parametrize(
    ("name", "failure", "text"),
    [
        (
            "a.png",
            DocumentFailure.TOO_LARGE,
            "a.png is too large. I can open pictures of up to 20 MB and 60 megapixels.",
        ),
        ("", DocumentFailure.BROKEN, "The picture is damaged; I couldn't open it."),
        ("a.bmp", DocumentFailure.UNKNOWN, "a.bmp is not a picture I can open. Send a JPEG, PNG, WebP or GIF."),
        ("a.png", DocumentFailure.SLOW, "a.png took too long to open. Send a smaller version."),
        ("a.png", DocumentFailure.EMPTY, "a.png is empty."),
        ("", DocumentFailure.EMPTY, "The picture is empty."),
    ],
)
def test_picture_that_cannot_be_opened_is_named(name: str, failure: DocumentFailure, text: str) -> None:
    assert images.image_failed(name, DocumentError("", failure)) == text


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (DeliveryFailure.GONE, "It no longer exists. Send it again."),
        (DeliveryFailure.TRANSIENT, "The connection failed. Send it again in a few minutes."),
    ],
)
def test_picture_that_cannot_be_downloaded(failure: DeliveryFailure, reason: str) -> None:
    assert images.image_not_fetched(failure, 17) == f"I couldn't download the picture. {reason} [17]"


def test_model_that_sees_pictures_is_offered() -> None:
    assert images.vision_offered("phi-4", "Llama") == "phi-4 can't see pictures, but Llama can."
    assert images.quoted_image_not_seen("phi-4", "Llama") == (
        "phi-4 can't see the picture that you replied to, but Llama can."
    )
    assert images.ask_model_button("Llama") == "Ask Llama"


def test_limit_of_pictures_agrees_with_its_number() -> None:
    assert images.image_limit_reached(1) == "I looked at only the first 1 picture."
    assert images.image_limit_reached(4) == "I looked at only the first 4 pictures."


def test_limit_of_recordings_agrees_with_its_number() -> None:
    assert speech.recording_limit_reached(1) == "I listened to only 1 recording, the first."
    assert speech.recording_limit_reached(3) == "I listened to only the first 3 recordings."


@pytest.mark.parametrize(
    ("transcript", "words"),
    [
        (" What  is\nthis? ", "What is this?"),
        ("x" * 300, "x" * 300),
        ("x" * 301, "x" * 300 + "…"),
        ("x" * 299 + " yz", "x" * 299 + "…"),
        ("שלום", "\u2068שלום\u2069"),
    ],
)
def test_transcript_is_shown_on_one_line_up_to_300_characters(transcript: str, words: str) -> None:
    assert speech.transcript_note(transcript) == f"I heard: “{words}”"


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (DocumentFailure.TOO_LARGE, "This recording is too large. I can listen to up to 20 MB."),
        (
            DocumentFailure.UNKNOWN,
            "This is not a recording that I can listen to. Send OGG, MP3, M4A, WAV, FLAC or WebM.",
        ),
    ],
)
def test_recording_that_cannot_be_read(failure: DocumentFailure, text: str) -> None:
    assert speech.recording_unreadable(DocumentError("", failure)) == text


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (ModelFailure.RATE_LIMITED, "Speech recognition is busy. Try again in a moment."),
        (ModelFailure.QUOTA, "Speech recognition is busy. Try again in a moment."),
        (ModelFailure.OVERFLOW, "This recording is too long for speech recognition. Send a shorter one."),
        (ModelFailure.STALLED, "Speech recognition failed. Try again later, or write your question."),
    ],
)
def test_recording_that_is_not_transcribed(failure: ModelFailure, text: str) -> None:
    assert speech.not_transcribed(ModelError("secret detail", failure), 17) == f"{text} [17]"
