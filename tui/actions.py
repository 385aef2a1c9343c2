"""What each command of the table does on the full screen: `command_<name>` gets what was typed after the name."""

import asyncio
import os
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from chatbot.client import ChatbotError
from tui import clipboard
from tui.chat_markdown import code_blocks
from tui.commands import COMMANDS, Command
from tui.leaving import LeavableApp
from tui.meant import brief, called, partly_called
from tui.state import Model
from tui.widgets.conversations import ConversationList
from tui.widgets.dialogs import LONGEST_TITLE, AskLine, Confirm
from tui.widgets.editor import Editor
from tui.widgets.help import HelpScreen
from tui.widgets.persona_picker import PersonaPicker
from tui.widgets.search import Search
from tui.widgets.transcript import Transcript

WIDE_COLUMNS = 100
ASKED_TITLE = 40
"""Columns of a title in a question, which has to fit the smallest screen."""


class CommandedApp(LeavableApp):
    """An app with a session whose keys and slash commands are one table."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+up", "mark(-1)", show=False),
        Binding("alt+down", "mark(1)", show=False),
        *(
            Binding(
                command.key,
                f"command('{command.name}')",
                command.name.capitalize(),
                id=command.name,
                priority=command.name == "quit",  # dialogs keep all other keys to themselves
            )
            for command in COMMANDS
            if command.key
        ),
    ]

    def action_command(self, name: str) -> None:
        self.run_command(next(command for command in COMMANDS if command.name == name), "")

    def run_command(self, command: Command, argument: str) -> None:
        """Run a command; while a dialog is open, where keys mean something else, only leaving works."""
        if len(self.screen_stack) == 1 or command.name == "quit":
            getattr(self, f"command_{command.name}")(argument)

    def warn(self, told: str) -> None:
        """Tell the user why something is not done; what was typed, or the server said, is no markup."""
        self.notify(told, severity="warning", markup=False)

    def command_new(self, _: str) -> None:
        self.session.open(None)
        self.query_one(Editor).focus()

    def command_open(self, title: str) -> None:
        if title:
            self._open(title)
        else:
            self.command_search("")

    def _open(self, title: str) -> None:
        if found := called(title, self.session.state.chats, lambda chat: chat.title):
            self.session.open(found.id)
        else:
            self.run_worker(self._open_unlisted(title), exclusive=True, group="open")

    async def _open_unlisted(self, title: str) -> None:
        """Open the conversation that has a title at the server, or else one in the list that has it in its own."""
        told = f"No conversation is called “{brief(title)}”."
        try:
            if await self.session.open_titled(title):
                return
        except ChatbotError as error:
            told = f"Not in the list, and could not be looked up: {error}"
        if near := partly_called(title, self.session.state.chats, lambda chat: chat.title):
            self.session.open(near.id)
        else:
            self.warn(told)

    def command_search(self, words: str) -> None:
        self.run_worker(self._search(words), exclusive=True, group="open")

    async def _search(self, words: str) -> None:
        """Open what is picked among all conversations that the server finds."""
        search = Search(self.session.listing.find, words)
        picked = await self.push_screen_wait(search)
        if picked:
            self.session.open_found(search.found[picked])

    def command_rename(self, title: str) -> None:
        chat = self.session.state.chat
        if chat is None or chat.is_draft:
            self.warn("There is nothing to rename yet: say something first.")
        elif len(title) > LONGEST_TITLE:
            told = f"Not renamed: a title has at most {LONGEST_TITLE} characters, this one has {len(title)}."
            self.warn(told)
        elif title:
            self.session.rename(chat, title)
        else:
            asked = AskLine("New title", chat.title)
            self.push_screen(asked, lambda line: self.session.rename(chat, line) if line else None)

    def command_delete(self, _: str) -> None:
        if self.session.state.current:
            self._confirm_delete(self.session.state.current)
        else:
            self.warn("There is nothing to delete yet.")

    def command_persona(self, name: str) -> None:
        self.run_worker(self._choose_persona(name), exclusive=True, group="persona")

    def action_mark(self, step: int) -> None:
        """Mark the message before or after; past the last one the newest text is followed again."""
        if len(self.screen_stack) == 1:
            self.session.mark(step)
            if self.session.state.chat and not self.session.state.chat.marked:
                self.query_one(Transcript).follow()

    def command_retry(self, _: str) -> None:
        self._answer_anew(None)

    def command_edit(self, text: str) -> None:
        """Have a text answered in the place of the last or marked message; without one, offer that to be changed."""
        chat = self.session.state.chat
        if text or chat is None or chat.question is None:
            self._answer_anew(text)
        else:
            self._offer_edit(chat.question.text)

    def _offer_edit(self, text: str) -> None:
        editor = self.query_one(Editor)
        editor.replace_all(f"/edit {editor.folds.folded(text)}")

    def _answer_anew(self, text: str | None) -> None:
        if self.session.retry(text):
            self.query_one(Transcript).follow()
        else:
            if text:  # nothing else would bring it back
                self._offer_edit(text)
            chat = self.session.state.chat
            is_on_its_way = chat is not None and chat.question is not None
            told = "The message is still on its way." if is_on_its_way else "There is no message to answer anew."
            self.warn(told)

    def command_earlier(self, _: str) -> None:
        self.show_version(-1)

    def command_later(self, _: str) -> None:
        self.show_version(1)

    def show_version(self, step: int, key: str | None = None) -> None:
        """Show what was said in the place of a message: by default the marked, or newest, that has other versions."""
        if not self.session.show_version(step, key):
            which = "earlier" if step < 0 else "later"
            told = f"There is no {which} version here; Alt+Up marks the message that is meant."
            self.warn(told)

    def command_copy(self, number: str) -> None:
        chat = self.session.state.chat
        answer = chat.answer if chat else None
        text = answer.text if answer else ""
        blocks = code_blocks(text)
        if number:
            text = next((block for place, block in enumerate(blocks, 1) if number == str(place)), "")
        if text:
            self.copy_to_clipboard(text)
        else:
            which = "marked message" if chat and chat.marked else "last reply"
            missing = f"There is no such code block; the {which} has {len(blocks)}."
            self.warn(missing if number else "There is nothing to copy yet.")

    def command_export(self, file: str) -> None:
        self.run_worker(self._export(file), group="export")

    async def _export(self, file: str) -> None:
        """Write the open chat to a file and say where it is."""
        chat = self.session.state.chat
        if chat is None or chat.is_draft:
            self.warn("There is nothing to export yet.")
            return
        try:
            path = await self.session.export(chat, file)
        except (OSError, ChatbotError) as error:
            self.notify(f"Nothing was written: {error}", severity="error", markup=False)
        else:
            self.notify(f"Written to {path}", markup=False)

    def command_stop(self, _: str) -> None:
        """Let go of the marked message, or else stop the reply; with neither, close the list and go to the editor."""
        if not self.session.unmark() and not self.session.stop():
            self.screen.remove_class("list-shown")
            self.query_one(Editor).focus()

    def command_list(self, _: str) -> None:
        self.screen.toggle_class("list-shown" if self.size.width < WIDE_COLUMNS else "list-hidden")
        listing = self.query_one(ConversationList)
        if listing.display and self.screen.has_class("list-shown"):
            listing.focus()
        else:
            self.query_one(Editor).focus()

    def command_help(self, _: str) -> None:
        self.push_screen(HelpScreen())

    def copy_to_clipboard(self, text: str) -> None:
        """Copy by every way there is, and say so."""
        if self._driver and "TMUX" in os.environ:
            self._driver.write(clipboard.osc52(text, in_tmux=True))
        super().copy_to_clipboard(text)
        self.run_worker(self._copy_with_tool(text), group="clipboard")

    async def _copy_with_tool(self, text: str) -> None:
        tool = await asyncio.to_thread(clipboard.copy_with_tool, text)
        self.notify(f"Copied {len(text)} characters ({tool or 'through the terminal'}).", markup=False)

    async def _choose_persona(self, name: str) -> None:
        """Let who is named answer, or who is picked from all that the server offers now."""
        state = self.session.state  # what is open now, and perhaps not any more when somebody is picked
        known = [model.id for model in (await self._models() if name else state.models)]
        if not known:
            self.warn("The server is not there yet; try again in a moment.")
        elif name and (meant := called(name, known, str)):
            self.session.choose_persona(state.sheet, meant)
        elif name:
            self.warn(f"Nobody is called “{brief(name)}”. Known: {', '.join(known)}")
        elif picked := await self.push_screen_wait(PersonaPicker(state.models, state.persona, self._models)):
            self.session.choose_persona(state.sheet, picked)

    async def _models(self) -> tuple[Model, ...]:
        await self.session.refresh_models()
        return self.session.state.models

    def _confirm_delete(self, chat_id: str) -> None:
        chat = self.session.state.find(chat_id)
        if chat:
            title = Content(chat.title or "New conversation").truncate(ASKED_TITLE, ellipsis=True)
            question = f"Delete “{title}” for good?"
            self.push_screen(Confirm(question), lambda yes: self._delete(chat.sheet) if yes else None)

    def _delete(self, sheet: str) -> None:
        """Delete the chat that a sheet belongs to; the server may have given it an id since that was asked."""
        if chat := self.session.state.on_sheet(sheet):
            self.session.delete(chat)
