"""The driver tells a result from a failure, and computes what the table says.

Run: python3 -m unittest discover Benchmarks/tests
"""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(BENCHMARKS))

from harness import machine, table  # noqa: E402
from harness.works import Row, Side, Work, works  # noqa: E402


def row(ours, *peers, goal=1.0):
    sides = [Side(name, None, list(samples)) for name, samples in peers]
    return Row(Work("w", goal, None, []), Side("gateway", None, list(ours)), sides)


class RatioTests(unittest.TestCase):
    def test_the_ratio_is_the_median_of_the_rounds_with_its_spread(self):
        one = row([2, 4, 9], ("nginx", [2, 2, 3]))
        self.assertEqual(one.ratios, [1, 2, 3])
        self.assertEqual(table.ratio(one), "2.00 (1.00–3.00)")

    def test_the_goal_is_against_the_cheaper_peer(self):
        one = row([2, 2], ("nginx", [4, 4]), ("haproxy", [3, 3]))
        self.assertEqual(one.best.name, "haproxy")

    def test_a_peer_that_failed_is_not_the_best(self):
        one = row([2], ("nginx", [4]), ("haproxy", [3]))
        one.peers[1].failure = "it fell over"
        self.assertEqual(one.best.name, "nginx")
        self.assertEqual(table.verdict(one), "failed")

    def test_a_goal_is_met_up_to_its_own_value(self):
        for ours, verdict in ((1.0, "yes"), (1.01, "no")):
            self.assertEqual(table.verdict(row([ours], ("nginx", [1.0]))), verdict)

    def test_a_side_without_figures_gives_no_ratio(self):
        one = row([2], ("nginx", [4]))
        one.ours.failure = "it did not start"
        self.assertEqual((one.ratios, table.ratio(one), table.verdict(one)), ([], "-", "failed"))
        self.assertIn("| failed |", table.line(one))

    def test_every_work_has_a_name_of_its_own_and_a_peer(self):
        self.assertEqual(len({work.name for work in works}), len(works))
        self.assertTrue(all(work.peers for work in works))


class MachineTests(unittest.TestCase):
    def test_cpu_time_counts_children_and_threads(self):
        child = subprocess.Popen([sys.executable, "-c", "import time\nwhile time.process_time() < .2: pass\ninput()"],
                                 stdin=subprocess.PIPE)
        try:
            before = {}
            while machine.cpu_spent(before, {k: v for k, v in machine.cpu_time(os.getpid()).items()
                                             if k[0] == child.pid}) < 150_000_000:
                self.assertIsNone(child.poll())
        finally:
            child.communicate(b"\n")

    def test_a_thread_that_ended_makes_the_time_unknown(self):
        with self.assertRaises(machine.Failure):
            machine.cpu_spent({(1, 1): 5, (1, 2): 5}, {(1, 1): 6})

    def test_a_new_thread_counts_in_full(self):
        self.assertEqual(machine.cpu_spent({(1, 1): 5}, {(1, 1): 6, (1, 2): 3}), 4)

    def test_anonymous_memory_grows_with_what_is_touched(self):
        before = machine.anonymous_memory(os.getpid())
        block = bytearray(os.urandom(1)) * (8 << 20)
        self.assertGreater(machine.anonymous_memory(os.getpid()) - before, 6 << 20)
        del block


@unittest.skipUnless(len(os.sched_getaffinity(0)) > 1, "two cores are needed")
class FailedGatewayTests(unittest.TestCase):
    def test_a_gateway_that_does_not_start_is_a_failed_row_and_an_exit_code(self):
        with tempfile.TemporaryDirectory() as folder:
            load = Path(folder) / "load"
            load.symlink_to("/bin/false")
            environment = os.environ | {"GATEWAY_BINARY": "/bin/false", "BENCHLOAD_BINARY": str(load)}
            done = subprocess.run(
                [BENCHMARKS / "run", "--only", "echo 20 B", "--rounds", "1", "--seconds", "0.1"],
                env=environment, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("gateway: failed.** it ended with exit code 1", done.stdout)


if __name__ == "__main__":
    unittest.main()
