"""The verbs of the model, and what time and a restart do to it."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from math import inf
from typing import Any

from tests.model.model import (
    HELD,
    OVERHEAD,
    Full,
    Model,
    ModelAsker,
    ModelMessage,
    ModelSession,
    ModelWaiter,
    Receipt,
    Told,
)


class ModelBroker(Model):
    """The model that a broker is driven beside."""

    def put(self, queue: str, body: bytes, options: dict[str, Any]) -> tuple[int, bool]:
        key = options.get("dedup")
        known = self.queues[queue].keys.get(key) if key and queue in self.queues else None
        if known is not None and known[1] > self.now:
            self.counters["duplicates"] += 1
            return known[0], True
        self._check_room(queue, len(body))
        self.last_id += 1
        self.counters["puts"] += 1
        wall = self.now + self.offset
        message = ModelMessage(
            self.last_id, queue, body, wall, options.get("priority", 4), (self.last_id, 0)
        )
        message.texts = {name: options.get(name) for name in ("key", "trace", "dedup")}
        self.messages[message.id] = message
        window = options.get("dedup_window", self.open(queue).settings["dedup_window"])
        if key:
            self.queues[queue].keys[key] = message.id, self.now + window, wall + window
        if ttl := options.get("ttl") or self.setting(queue, "ttl"):
            message.expires, message.expires_wall = self.now + ttl, wall + ttl
        message.due_wall = options.get("at") or wall + options.get("delay", 0.0)
        message.state = "delayed" if message.due_wall > wall else "ready"
        return message.id, False

    def _check_room(self, queue: str, size: int) -> None:
        messages_max = self.setting(queue, "max_messages")
        bytes_max = self.setting(queue, "max_bytes")
        if (
            self.memory() + size + OVERHEAD > self.memory_max
            or 0 < messages_max <= len(self.of(queue))
            or (bytes_max and self.size(queue) + size > bytes_max)
        ):
            raise Full

    def get(self, client: str, queues: list[str], count: int, lease: float | None) -> list[Receipt]:
        self.serve()
        return self._take(client, queues, count, lease)

    def _take(
        self, client: str, queues: list[str], count: int, lease: float | None
    ) -> list[Receipt]:
        taken: list[Receipt] = []
        room = self.reply_max
        for message in [message for queue in queues for message in self.ready(queue)]:
            if len(taken) == count or room <= 0:
                break
            room -= len(message.body)
            self.last_lease += 1
            self.counters["leases"] += 1
            message.lease = self.last_lease
            message.deliveries += 1
            message.session = self.session_of.get(client)
            self.hold(
                message, "leased", self.setting(message.queue, "lease") if lease is None else lease
            )
            taken.append((message.id, message.lease))
        return taken

    def wait(
        self, client: str, queues: list[str], count: int, lease: float | None, wait: float
    ) -> None:
        self.waiters.append(ModelWaiter(client, queues, count, lease, self.now + wait))

    def serve(self) -> None:
        for waiter in list(self.waiters):
            if taken := self._take(waiter.client, waiter.queues, waiter.count, waiter.lease):
                self.waiters.remove(waiter)
                self.delivered.append((waiter.client, taken))

    def ack(self, receipts: list[Receipt]) -> list[Receipt]:
        refused = []
        for receipt in receipts:
            if (message := self.holder(receipt)) is None:
                refused.append(receipt)
                continue
            self.counters["acks"] += 1
            self.free(message)
            if retain := self.setting(message.queue, "retain"):
                self.hold(message, "done", retain)
            else:
                del self.messages[message.id]
        return refused

    def nack(
        self, receipts: list[Receipt], delay: float | None, reason: str | None, *, dead: bool
    ) -> list[Receipt]:
        refused = []
        for receipt in receipts:
            if (message := self.holder(receipt)) is None:
                refused.append(receipt)
                continue
            self.counters["nacks"] += 1
            self.free(message)
            message.failures += 1
            is_too_often = 0 < self.setting(message.queue, "max_failures") <= message.failures
            if reason is not None:
                message.texts["reason"] = reason
            elif is_too_often and not dead:
                message.texts["reason"] = "failed too often"
            pause = self.backoff(message.queue, message.failures) if delay is None else delay
            self.come_back(message, pause, dead=dead or is_too_often)
        return refused

    def release(self, receipts: list[Receipt], delay: float) -> list[Receipt]:
        refused = []
        for receipt in receipts:
            if (message := self.holder(receipt)) is None:
                refused.append(receipt)
                continue
            self.counters["releases"] += 1
            self.free(message)
            self.come_back(message, delay, dead=False)
        return refused

    def touch(self, receipts: list[Receipt], lease: float | None) -> list[Receipt]:
        refused = []
        for receipt in receipts:
            if (message := self.holder(receipt)) is None:
                refused.append(receipt)
                continue
            seconds = self.setting(message.queue, "lease") if lease is None else lease
            if self.now + seconds > message.until:
                self.hold(message, "leased", seconds)
        return refused

    def touch_session(self, client: str, lease: float | None) -> int:
        name = self.session_of[client]
        held = [(m.id, m.lease) for m in self.messages.values() if m.session == name]
        self.touch(held, lease)
        return len(held)

    def leases(self, client: str) -> list[Receipt]:
        name = self.session_of[client]
        held = [(m.id, m.lease) for m in self.messages.values() if m.session == name]
        return sorted(held)

    def progress(self, receipt: Receipt, value: bytes) -> bool:
        if (message := self.holder(receipt)) is None:
            return False
        if self.memory() + len(value) - len(message.progress) > self.memory_max:
            raise Full
        message.progress = value
        return True

    def done(self, receipt: Receipt, value: bytes, retain: float | None) -> bool:
        if (message := self.holder(receipt)) is None:
            return False
        seconds = self.setting(message.queue, "retain") if retain is None else retain
        if seconds and self.memory() + len(value) > self.memory_max:
            raise Full
        self.counters["acks"] += 1
        self.free(message)
        if seconds:
            message.result = value
            self.hold(message, "done", seconds)
        else:
            del self.messages[message.id]
        return True

    def ask(self, client: str, message_id: int, wait: float) -> Told | None:
        """What it is told at once; None when it waits."""
        message = self.messages[message_id]
        if message.state not in ("done", "dead") and wait:
            self.askers.append(ModelAsker(client, message_id, self.now + wait))
            return None
        return self.outcome(client, message_id)

    def outcome(self, client: str, message_id: int) -> Told:
        message = self.messages.get(message_id)
        if message is None:
            return client, message_id, "gone", b""
        return client, message_id, message.state, message.result

    def tell(self, *, is_tick: bool = False) -> None:
        """Those whose message has ended; and, as a tick does, those whose time is over."""
        for asker in list(self.askers):
            told = self.outcome(asker.client, asker.id)
            if told[2] in ("done", "dead", "gone") or (is_tick and asker.until <= self.now):
                self.askers.remove(asker)
                self.told.append(told)

    def hello(self, client: str, name: str, grace: float) -> None:
        if self.session_of.get(client, name) != name:
            self.leave(client)
        session = self.sessions.setdefault(name, ModelSession(grace))
        session.grace, session.ends = grace, inf
        session.connections.add(client)
        self.session_of[client] = name

    def leave(self, client: str) -> None:
        self.waiters = [waiter for waiter in self.waiters if waiter.client != client]
        self.askers = [asker for asker in self.askers if asker.client != client]
        name = self.session_of.pop(client, None)
        if name is None:
            return
        session = self.sessions[name]
        session.connections.discard(client)
        if not session.connections:
            session.ends = self.now + session.grace

    def configure(self, queue: str, changes: dict[str, Any]) -> dict[str, Any]:
        self.open(queue).settings.update(changes)
        return self.queues[queue].settings

    def pause(self, queue: str, *, paused: bool) -> bool:
        if not paused and queue not in self.queues:
            return False
        changed = self.open(queue).paused != paused
        self.queues[queue].paused = paused
        return changed

    def purge(self, queue: str, states: list[str]) -> int:
        removed = self.of(queue, *states)
        for message in removed:
            del self.messages[message.id]
        return len(removed)

    def drop(self, queue: str) -> int:
        self.queues.pop(queue, None)
        return self.purge(queue, [])

    def redrive(
        self, queue: str, count: int | None, reason: str | None, to: str | None, *, dry: bool
    ) -> int:
        chosen = [
            message
            for message in self.of(queue, "dead")
            if reason is None or fnmatchcase(message.texts.get("reason") or "", reason)
        ][:count]
        for message in [] if dry else chosen:
            message.queue = to or queue
            self.open(message.queue)
            message.failures = message.losses = 0
            message.texts["reason"] = None
            message.expires = message.expires_wall = inf
            self.come_back(message, 0.0, dead=False)
        return len(chosen)

    # --- time, and a restart --------------------------------------------------------------------

    def tick(self) -> None:
        due = [(self.deadline(message), message.id) for message in self.messages.values()]
        for deadline, message_id in sorted(due):
            if deadline <= self.now:
                self._message_due(self.messages[message_id])
        ends = [(session.ends, name) for name, session in self.sessions.items()]
        for end, name in sorted(ends):
            if end <= self.now:
                self._end_session(name)
        for waiter in sorted(self.waiters, key=lambda waiter: waiter.until):
            if waiter.until <= self.now:
                self.waiters.remove(waiter)
                self.delivered.append((waiter.client, []))
        self.tell(is_tick=True)
        self.serve()

    def _message_due(self, message: ModelMessage) -> None:
        if message.state == "leased":
            self.lose(message)
        elif message.state == "done":
            del self.messages[message.id]
        elif not self.expire_if_over(message):
            message.state = "ready"

    def _end_session(self, name: str) -> None:
        del self.sessions[name]
        for _, message in sorted(self.messages.items()):
            if message.session == name:
                self.lose(message)

    def set_clock(self, moved: float) -> None:
        """The wall clock was set; leases are told again by the new one."""
        self.offset += moved
        for message in self.messages.values():
            if message.state == "leased":
                message.until_wall = message.until + self.offset

    def tell_again(self, told: Iterable[Any]) -> None:
        """Compaction wrote these anew, by the clock as it is now: messages' ids, queues' keys."""
        for which in told:
            if isinstance(which, int):
                message = self.messages[which]
                message.expires_wall = message.expires + self.offset
                message.until_wall = message.until + self.offset
            else:
                keys = self.queues[which[0]].keys
                first, until, _ = keys[which[1]]
                keys[which[1]] = first, until, until + self.offset

    def restart(self) -> None:
        """Everything but waits and connections survives; times are those that were written."""
        self.counters.clear()
        self.waiters.clear()
        self.askers.clear()
        self.session_of.clear()
        holding = {message.session for message in self.messages.values()}
        for name in list(self.sessions):
            if name not in holding:
                del self.sessions[name]
                continue
            self.sessions[name].connections.clear()
            self.sessions[name].ends = self.now + self.sessions[name].grace
        for queue in self.queues.values():
            for key, (first, _, until_wall) in queue.keys.items():
                queue.keys[key] = first, until_wall - self.offset, until_wall
        for message in self.messages.values():
            message.expires = message.expires_wall - self.offset
            if message.state in HELD:
                message.until = message.until_wall - self.offset
