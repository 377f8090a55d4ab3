"""The page under /docs in a real browser: it shows the API and sends its example."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

ANSWER_TIMEOUT_MS = 120_000


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a browser that is installed here."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no browser on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browser, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        yield chromium.new_page()
        chromium.close()


def test_the_image_example_is_answered(url: str, page: Page) -> None:
    """Try it out, Execute: the example with an image is answered 200; nothing is loaded from elsewhere."""
    elsewhere: list[str] = []
    page.on(
        "request",
        lambda request: None if request.url.startswith((url, "data:")) else elsewhere.append(request.url),
    )
    page.goto(f"{url}/docs")
    operation = page.locator("#operations-chat-chat_completions_v1_chat_completions_post")
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Try it out").click()
    expect(operation.locator("textarea.body-param__text")).to_contain_text("data:image/gif;base64,")
    operation.get_by_role("button", name="Execute").click()
    live = operation.locator(".live-responses-table")
    expect(live.locator(".response-col_status").last).to_contain_text("200", timeout=ANSWER_TIMEOUT_MS)
    expect(live).to_contain_text("image_tokens")
    assert elsewhere == []
