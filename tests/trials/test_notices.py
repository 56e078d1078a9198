import warnings

import pytest

from dpaudit.trials.notices import Notices, first_sentence


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Secure RNG turned off. This is perfectly fine for experimentation", "Secure RNG turned off."),
        ("Full backward hook is firing.\n  See https://pytorch.org/x for more.", "Full backward hook is firing."),
        ("needs opacus 1.6.0 or later, e.g. from PyPI, to run", "needs opacus 1.6.0 or later, e.g. from PyPI, to run"),
        ("Really? Yes", "Really?"),
        ("", ""),
        ("x" * 500, "x" * 157 + "..."),
        ("x" * 200 + ". And more", "x" * 157 + "..."),
    ],
)
def test_the_first_sentence_of_a_warning(text, kept):
    assert first_sentence(text) == kept


def test_warnings_that_differ_later_on_are_one_notice_and_printed_lines_stay_whole():
    notices = Notices()
    with notices.listen():
        for step in range(3):
            warnings.warn(f"Batch is empty. Step {step}.", RuntimeWarning, stacklevel=1)
        print("Epoch done. Loss 3")
    assert notices.counts() == (("RuntimeWarning: Batch is empty.", 3), ("Epoch done. Loss 3", 1))
