"""What a page is: its name in the navigation and in the address."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """One screen. `slug` is its address, "" the landing page; `action` what a person must be allowed to do there.

    `about_row` says whether it is about one row of a subject, which is then chosen at its top; `hosted` that it makes
    sense only where people sign in.
    """

    title: str
    slug: str
    action: str
    order: int
    about_row: bool = True
    hosted: bool = False
