"""The floor on Telegram: the least work that shows answers growing. It has no history, no markup and no retries."""

import os

from tests.benchmarks.answers.floor_answers import EditWindow, GrowingAnswer, Presenter, run, start_task, stream_answer
from tests.benchmarks.answers.floor_http import HttpClient, decode

CALLS_PER_SECOND = 27
"""Of the 30 that Telegram accepts: calls that are spread evenly may still arrive closer together."""
MAX_CHARS = 4096


async def main() -> None:
    environment = os.environ
    telegram = HttpClient(f"{environment['TELEGRAM_API_BASE']}/bot{environment['TELEGRAM_BOT_TOKEN']}")
    model = HttpClient(
        environment["IOINTELLIGENCE_BASE_URL"], {"Authorization": f"Bearer {environment['IOINTELLIGENCE_API_KEY']}"}
    )

    async def show(answer: GrowingAnswer, text: str) -> float:
        body = {"chat_id": answer.chat_id, "text": text}
        if answer.message_id is None:
            response = await telegram.request("POST", "sendMessage", body)
        else:
            response = await telegram.request("POST", "editMessageText", {**body, "message_id": answer.message_id})
        payload = decode(response.body)
        if response.status == 200:
            answer.shown_text, answer.message_id = text, payload["result"]["message_id"]
        return float(payload.get("parameters", {}).get("retry_after", 0))

    presenter = Presenter(show, calls_per_second=CALLS_PER_SECOND, max_chars=MAX_CHARS)
    start_task(presenter.run())
    offset = 0
    while True:
        response = await telegram.request("POST", "getUpdates", {"offset": offset, "timeout": 30})
        for update in decode(response.body)["result"]:
            offset = update["update_id"] + 1
            message = update["message"]
            answer = GrowingAnswer(message["chat"]["id"], EditWindow())
            start_task(stream_answer(model, message["text"], answer, presenter))


if __name__ == "__main__":
    run(main())
