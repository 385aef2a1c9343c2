/** The page: puts its parts together and tells each what concerns it. */

import { Access } from "./access.js";
import { Api, isForLater } from "./api.js";
import { Chat } from "./chat.js";
import { Choices } from "./choices.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { ConversationList, UNTITLED } from "./conversation_list.js";
import { askedLine, confirmed } from "./dialogs.js";
import { keep, kept } from "./kept.js";
import { newId } from "./new_id.js";
import { Offers } from "./offers.js";
import { Outbox } from "./outbox.js";
import { Replies } from "./replies.js";
import { Side } from "./side.js";
import { Speakers } from "./speakers.js";
import { Transcript } from "./transcript.js";
import { keepUnsent } from "./unsent.js";

const MAX_TITLE = 200;
const STATES = { connecting: "Connecting…", live: "", lost: "No connection to the server. Trying again…", locked: "" };

const at = (id) => document.getElementById(id);
const access = new Access();
const api = new Api(() => access.key);
const choices = new Choices(api, onFault);
const speakers = new Speakers(at("speaker"), (model) => chosen(model));
const list = new ConversationList({ api, list: at("conversations"), end: at("end"), page: { rename, remove, onAgain, onFault } });
const side = new Side((words) => list.search(words));
const composer = new Composer(at("composer"), {
  say: (text) => {
    note("");
    chat.say(text);
  },
  change: (message, text) => chat.answerAnew(message, text),
  stop: () => chat.stop(),
});
const transcript = new Transcript({
  scroller: at("transcript"),
  list: at("messages"),
  newest: at("newest"),
  onTop: () => chat.loadOlder(),
});
const connection = new Connection({
  admit: async (signal) => speakers.offer((await api.models(signal)).data),
  protocols: () => access.protocols,
  onState: stateChanged,
  onLive: () => {
    connection.send({ type: "chatbot:conversations.watch", event_id: "watch" });
    replies.goOn();
    outbox.goOn();
  },
  onEvent: received,
  onTooLarge: () => outbox.refuseTooLarge(),
});
const replies = new Replies(connection);
const outbox = new Outbox({
  api,
  connection,
  page: { onMade: made, onTaken: (frame, response) => chat.taken(frame, response), onRefused: refused, onFault },
});
const chat = new Chat({
  api,
  outbox,
  replies,
  transcript,
  page: {
    onUnsent: unsent,
    onGone: gone,
    onStep: stepped,
    onFault,
    onFailed,
    offer: (message) => offers.offer(message),
    announce: (text) => (at("announcer").textContent = text),
    modelOf: (model) => speakers.idOf(model),
    speakerOf: (model) => speakers.nameOf(model),
  },
});
const offers = new Offers({ chat, composer, transcript });
let newModel = kept("new-model"); // who answers in the next new chat

function received(event) {
  if (event.type === "chatbot:conversations.watched") comeBack();
  else if (event.type === "chatbot:conversation.updated") updated(event.conversation, event.running_response_id);
  else if (event.type === "chatbot:conversation.deleted") gone(event.conversation.id);
  else if (event.type === "error") failed(event.event_id ?? event.stream_id ?? null, event.error);
  else {
    if (event.type === "response.created") outbox.acknowledge(event);
    replies.receive(event);
  }
}

function failed(name, error) {
  if (!outbox.refuse(name, error) && !replies.refuse(name, error)) note(error.message);
}

/** On every new socket, and when more changed than could be told. */
async function comeBack() {
  await choices.tellAll();
  await list.refresh();
  fill();
}

function updated(body, running) {
  list.put(body, running);
  if (body.id !== chat.sheet.id) return;
  describe(body);
  chat.catchUp();
}

/** Show the chat that the address names, or else a blank page; `key` is that under which it becomes a chat. */
function open(key = newId("key")) {
  const id = location.hash.slice(1) || null;
  note("");
  side.close();
  chat.open(id === null ? { id, key, model: newModel } : { id, key: null });
  if (list.found(id)) chat.leadTo(list.found(id));
  composer.open(id);
  list.mark(id);
  describe(id === null ? { title: "New chat", model: newModel } : list.find(id) ?? { title: "" });
  if (connection.state === "live") fill();
}

/** The open chat was chosen again: it stays as it is, and leads to what was looked for. */
function onAgain(id) {
  side.close();
  if (!list.found(id)) return;
  chat.leadTo(list.found(id));
  chat.catchUp();
}

/** Fetch what the open chat lacks. */
async function fill() {
  const { sheet } = chat;
  if (sheet.id === null) return;
  try {
    const body = list.find(sheet.id) ?? (await api.conversation(sheet.id));
    if (sheet !== chat.sheet) return;
    describe(body);
  } catch (error) {
    if (error.code === "conversation_not_found") return gone(sheet.id);
    return onFault(error);
  }
  chat.catchUp();
}

function stepped() {
  composer.offerStop(Boolean(transcript.openReply?.responseId));
  at("hello").hidden = chat.sheet.id !== null || transcript.messages.length > 0;
}

function describe({ title, model }) {
  at("title").textContent = title ?? UNTITLED;
  document.title = title ? `${title} – chatbot` : "chatbot";
  chat.sheet.model = choices.in(chat.sheet.id, model);
  speakers.show(chat.sheet.model);
}

function made({ key, model }, body) {
  list.put(body, null);
  if (model !== body.model) choices.choose(body.id, model); // chosen while it was made
  if (key !== chat.sheet.key) return;
  chat.made(body.id);
  composer.made(body.id);
  history.replaceState(null, "", `#${body.id}`);
  list.mark(body.id);
}

function gone(id) {
  list.drop(id);
  if (id === chat.sheet.id) {
    composer.giveBack(null, composer.text);
    leave();
    note("This conversation was deleted.");
  }
  composer.forget(id);
  choices.forget(id);
  keepUnsent(id, []);
}

function leave() {
  history.replaceState(null, "", location.pathname);
  open();
}

function chosen(model) {
  const { sheet } = chat;
  sheet.model = model;
  if (sheet.id !== null) return choices.choose(sheet.id, model);
  newModel = model;
  keep("new-model", model);
  outbox.choose(sheet.key, model);
}

async function rename({ id, title }) {
  const wanted = await askedLine("New title", title ?? "", MAX_TITLE);
  if (wanted) await api.changeConversation(id, { title: wanted }).catch(onFailed);
}

async function remove({ id, title }) {
  if (!(await confirmed(`Delete “${title ?? UNTITLED}” for good?`, "Delete"))) return;
  if (id === chat.sheet.id) leave();
  try {
    await api.deleteConversation(id);
  } catch (error) {
    if (error.code !== "conversation_not_found") return onFailed(error);
  }
  list.drop(id);
}

function refused({ conversation, ...frame }, error) {
  const isGone = error.code === "conversation_not_found";
  if (isGone) gone(conversation);
  if (!chat.refused(frame, error.message)) unsent(isGone ? null : conversation, frame.input, error.message);
}

/** What could not be sent, and is shown nowhere, goes back to where it was written. */
function unsent(id, text, why = "try again") {
  composer.giveBack(id, text);
  note(`A message was not sent: ${why}`);
}

async function stateChanged(state) {
  at("state").textContent = STATES[state];
  document.body.dataset.state = state;
  if (state !== "locked") return;
  await access.ask();
  connection.start();
}

/** A request failed: without an answer, or a key that is taken, the connection is to be looked at. */
function onFault(error) {
  if (isForLater(error)) connection.drop();
  else note(error.message);
}

/** What the user asked for was not done, which nothing else on the page would say. */
function onFailed(error) {
  onFault(error);
  note(`It was not done: ${error.message}`);
}

function note(text) {
  at("note").textContent = text;
}

addEventListener("hashchange", () => open());
open(outbox.unmade);
connection.start();
