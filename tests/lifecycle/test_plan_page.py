"""A plan of the infrastructure on the page of a CI run, and in an issue: plain text, whatever it contains."""

from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from mlops.azure.infrastructure import Change, Planned
from mlops.ci.plan import LONGEST_DRIFT, drift, markdown

PLANNED = Planned(
    environment="production",
    digest="0" * 64,
    changed=True,
    changes=(Change("azurerm_key_vault.this", "replace"), Change('azurerm_role_assignment.lifecycle["ci"]', "add")),
    text="  # azurerm_key_vault.this must be replaced",
)


def tokens(planned: Planned) -> list[tuple[str, str]]:
    """Return the kinds and contents of the page's blocks."""
    parsed = MarkdownIt().enable("table").parse(markdown(planned))
    return [(token.type, token.content) for token in parsed if token.content]


def test_the_page_lists_the_changes_and_terraforms_text() -> None:
    assert tokens(PLANNED) == [
        ("inline", "Production: 1 to replace, 1 to add."),
        ("inline", f"Plan `{'0' * 64}`"),
        ("inline", "resource"),
        ("inline", "action"),
        ("inline", "`azurerm_key_vault.this`"),
        ("inline", "replace"),
        ("inline", '`azurerm_role_assignment.lifecycle["ci"]`'),
        ("inline", "add"),
        ("fence", "  # azurerm_key_vault.this must be replaced\n"),
    ]


@pytest.mark.parametrize("text", ["```\n# <img src=x>\n", "````\n``` `````` \n", "~~~\n</details>"])
def test_no_text_ends_its_block(text: str) -> None:
    assert tokens(replace(PLANNED, text=text))[-1] == ("fence", f"{text}\n")


def test_no_address_ends_its_cell() -> None:
    hostile = replace(PLANNED, changes=(Change('azurerm_x.y["a|b`<b>"]', "add"),))
    assert ("inline", '`azurerm_x.y["a|b\'<b>"]`') in tokens(hostile)


def test_a_long_plan_is_cut_below_the_limit_of_a_summary() -> None:
    long = replace(PLANNED, changes=PLANNED.changes * 2000, text="é" * 2_000_000)
    page = markdown(long)
    assert len(page.encode()) < 2**20 / 2
    assert "(the log has the rest)" in page


def test_an_issue_names_what_has_changed() -> None:
    assert drift(PLANNED) == (
        "Production: 1 to replace, 1 to add. `azurerm_key_vault.this` (replace), "
        '`azurerm_role_assignment.lifecycle["ci"]` (add)'
    )
    assert drift(replace(PLANNED, changes=())) == "Production: only outputs or addresses change."
    assert drift(replace(PLANNED, changes=(), changed=False)) == ""
    many = drift(replace(PLANNED, changes=PLANNED.changes * 50))
    assert many.count("`") == 2 * LONGEST_DRIFT
    assert many.endswith(f", and {100 - LONGEST_DRIFT} more")
    assert "\n" not in many
