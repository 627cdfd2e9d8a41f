"""The engine on a real reactor, in a process of its own."""

import subprocess
import sys

PROGRAM = """
import numpy as np
from twisted.internet import reactor
import dtmf
from ivr_sim.media import PCMA, MediaEngine

class Listener:
    def __init__(self, speech=(), last_tick=None):
        self.speech, self.last_tick, self.ticks, self.keys = speech, last_tick, 0, ""
    def tick(self, heard):
        n = self.ticks
        self.ticks += 1
        if self.ticks == self.last_tick:
            reactor.stop()
        frame = self.speech[160 * n : 160 * n + 160]
        return frame if len(frame) == 160 else None
    def key_down(self, digit, method, start):
        self.keys += digit
    def key_up(self, digit, method, start, duration_ms, level_dbm0, twist_db=None):
        self.keys += "^"

engine = MediaEngine(reactor)
engine.start()
a, b = engine.open(), engine.open()
speech = np.round(32767 * dtmf.generate("159", lead_ms=100)).astype(np.int16)
speaker, hearer = Listener(speech), Listener(last_tick=75)
a.start(speaker, PCMA, ("127.0.0.1", b.local_port), 101)
b.start(hearer, PCMA, ("127.0.0.1", a.local_port), 101)
given_up = reactor.callLater(40, reactor.stop)
reactor.run()
engine.stop()
given_up.cancel()
print(hearer.keys, hearer.ticks >= 75, b.local_port % 2)
"""


def test_keys_are_heard_in_real_time():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("1^5^9^ True 0\n", 0), done.stderr
