"""The driver tells a result from a failure, and computes what the table says.

Run: python3 -m unittest discover Benchmarks/tests
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(BENCHMARKS))

from harness import machine, servers, table, tunnel_works  # noqa: E402
from harness.servers import Origin  # noqa: E402
from harness.works import Row, Side, Work, works  # noqa: E402


def row(ours, *peers, goal=1.0):
    sides = [Side(name, None, list(samples)) for name, samples in peers]
    return Row(Work("w", goal, None, []), Side("gateway", None, list(ours)), sides, goal)


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

    def test_every_work_has_a_name_of_its_own_and_a_peer_or_a_unit_to_be_judged_in(self):
        self.assertEqual(len({work.name for work in works}), len(works))
        self.assertTrue(all(work.peers or work.unit in ("ms", "MiB") for work in works))

    def test_every_peer_of_a_work_has_a_goal(self):
        for work in works:
            if isinstance(work.goal, dict):
                self.assertEqual(set(work.goal), {peer.name for peer in work.peers}, work.name)

    def test_goals_against_each_peer_make_a_row_for_each_from_the_same_samples(self):
        work = Work("w", {"haproxy": 1.0, "nginx": 0.4}, None, [])
        ours = Side("gateway", None, [1.0])
        rows = work.rows(ours, [Side("haproxy", None, [0.9]), Side("nginx", None, [3.0])])
        self.assertEqual([one.name for one in rows], ["w, against haproxy", "w, against nginx"])
        self.assertEqual([table.verdict(one) for one in rows], ["no", "yes"])
        self.assertTrue(all(one.ours is ours for one in rows))

    def test_a_goal_without_a_peer_is_held_against_the_value(self):
        for value, verdict in ((50, "yes"), (50.1, "no")):
            one = row([value], goal=50)
            one.work.unit = "ms"
            self.assertEqual((table.verdict(one), table.goal(one), table.ratio(one)), (verdict, "≤ 50 ms", "-"))
            self.assertIn(f"| w | {value:.2f} ms | - | - | - |", table.line(one))

    def test_a_row_without_a_goal_is_stated(self):
        one = row([2], ("node ws", [4]), goal=None)
        self.assertEqual((table.verdict(one), table.goal(one), table.ratio(one)), ("-", "stated", "0.50 (0.50–0.50)"))

    def test_what_the_other_peers_cost_stands_under_the_table(self):
        one = row([2], ("nginx", [4]), ("haproxy", [3]))
        self.assertEqual(table.others(one), "w: nginx 4.00 µs CPU/op, haproxy 3.00 µs CPU/op")
        self.assertIsNone(table.others(row([2], ("nginx", [4]))))


class TunnelRowTests(unittest.TestCase):
    def test_a_goal_that_is_a_value_is_held_against_ours_whatever_the_peers_are(self):
        for value, verdict in ((0.3, "yes"), (0.31, "no")):
            one = row([value], ("OpenSSH -R", [0.1]), goal=0.3)
            one.work.unit, one.work.is_absolute = "ms", True
            self.assertEqual((table.verdict(one), table.goal(one)), (verdict, "≤ 0.3 ms"))

    def test_percentiles_of_the_same_rounds_are_rows_of_their_own(self):
        work = tunnel_works.Latency("w", {"p50": 0.3, "p99": 2}, None, [])
        ours = Side("gateway", None, [0.1])
        ours.details = [{"added": {"p50": 0.1, "p99": 3.0}, "direct": {"p50": 20}}]
        first, second = work.rows(ours, [])
        self.assertEqual([(one.name, one.ours.samples, table.verdict(one)) for one in (first, second)],
                         [("w, p50", [0.1], "yes"), ("w, p99", [3.0], "no")])

    def test_every_work_of_the_tunnel_has_a_name_of_its_own_and_goals_for_its_peers(self):
        self.assertEqual(len({work.name for work in tunnel_works.works}), len(tunnel_works.works))
        for work in tunnel_works.works:
            if isinstance(work.goal, dict):
                self.assertEqual(set(work.goal), {peer.name for peer in work.peers}, work.name)

    def test_what_each_end_costs_is_told_apart(self):
        work = tunnel_works.Bytes("w", None, None, [], "down")
        side = Side("OpenSSH -R", None, [3.0], {"ends": {"sshd": 1, "ssh": 2}})
        side.details = [{"ends": {"sshd": 1, "ssh": 2}}, {"ends": {"sshd": 1, "ssh": 2}}]
        self.assertEqual(work.note(Row(work, side, [])), "w, CPU s/GB by end: OpenSSH -R: sshd 1.000 + ssh 2.000")


@unittest.skipUnless(len(os.sched_getaffinity(0)) > 1, "two cores are needed")
class CrowdTests(unittest.TestCase):
    """Many consumers against something that answers, and against something that does not."""

    CROWD = BENCHMARKS / "peers" / "crowd.py"

    def ask(self, answer):
        port = machine.free_port()
        with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
            serving = threading.Thread(target=self.serve, args=(listener, answer))
            serving.start()
            done = subprocess.run([sys.executable, self.CROWD, str(port), "/", "-60", "1"], input="go\n",
                                  capture_output=True, text=True, timeout=60)
            listener.shutdown(socket.SHUT_RDWR)
            serving.join()
        return [json.loads(line) for line in done.stdout.splitlines()]

    def serve(self, listener, answer):
        asked = 0
        threads = []

        def talk(connection):
            nonlocal asked
            with connection:
                while connection.recv(65_536):
                    asked += 1
                    connection.sendall(answer(asked))

        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                break
            threads.append(threading.Thread(target=talk, args=(connection,)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def test_everybody_is_answered_whatever_the_framing(self):
        plain = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
        ready, result = self.ask(lambda number: plain if number % 2 else chunked)
        self.assertEqual((ready["event"], ready["operations"]), ("ready", 60))
        self.assertEqual((result["event"], result["errors"]), ("result", 0))
        self.assertGreater(result["operations"], 0)

    def test_an_answer_that_is_no_200_is_an_error_with_its_reason(self):
        good, bad = (f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode() for status in (200, 503))
        _, result = self.ask(lambda number: good if number <= 60 else bad)
        self.assertGreater(result["reasons"]["503"], 0)


class PipeTests(unittest.TestCase):
    """The consumer of bytes against its own far end, and against one that gets a byte wrong."""

    PIPE = BENCHMARKS / "peers" / "pipe.py"
    SIZE = str(3 << 20)

    def consume(self, direction, far_end):
        port = machine.free_port()
        server = subprocess.Popen([sys.executable, "-c", far_end, str(port)], cwd=self.PIPE.parent)
        try:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and not answers(port):
                time.sleep(0.02)
            return subprocess.run([sys.executable, self.PIPE, direction, self.SIZE, "tcp", str(port)], input="go\n",
                                  capture_output=True, text=True, timeout=30)
        finally:
            server.kill()
            server.wait()

    def test_bytes_that_arrive_are_a_result(self):
        for direction in ("down", "up"):
            done = self.consume(direction, "import pipe, sys; pipe.serve(int(sys.argv[1]))")
            self.assertEqual(done.returncode, 0, done.stderr)
            ready, result = map(json.loads, done.stdout.splitlines())
            self.assertEqual((ready["event"], result["event"], result["bytes"]), ("ready", "result", 3 << 20))

    def test_one_wrong_byte_is_a_failure(self):
        wrong = ("import pipe, sys; p = bytearray(pipe.PATTERN); p[70000] ^= 1; pipe.PATTERN = bytes(p);"
                 "drain = pipe.Stream.drain; pipe.Stream.drain = lambda self, count: drain(self, count) ^ 1;"
                 "pipe.serve(int(sys.argv[1]))")
        for direction in ("down", "up"):
            done = self.consume(direction, wrong)
            self.assertEqual(done.returncode, 1)
            self.assertIn("the bytes that came are not those that were sent", done.stderr)

    def test_frames_are_told_by_their_length(self):
        sys.path.insert(0, str(self.PIPE.parent))
        import pipe

        for length, head in ((5, "8285"), (125, "82fd"), (126, "82fe007e"), (65_535, "82feffff"),
                             (65_536, "82ff0000000000010000")):
            self.assertEqual(pipe.frame_head(length).hex(), head + "00000000")


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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


class OriginTests(unittest.TestCase):
    def test_a_body_is_its_pattern_over_and_over_up_to_its_size(self):
        with tempfile.TemporaryDirectory() as folder:
            origin = Origin.__new__(Origin)
            origin.size, origin.pattern = 150_000, servers.body_pattern()
            origin.write_body(Path(folder) / "body")
            body = (Path(folder) / "body").read_bytes()
        self.assertEqual(body, (origin.pattern * 3)[:150_000])

    def test_a_body_in_which_a_buffer_is_missing_differs(self):
        pattern = servers.body_pattern()
        for size in (4096, 16_384, 65_536, 131_072, 262_144):
            self.assertNotEqual(size % len(pattern), 0)
            self.assertNotEqual(pattern, (pattern * 6)[size:size + len(pattern)])


class ProfileTests(unittest.TestCase):
    def test_an_unclear_work_is_refused_with_the_names_to_choose_from(self):
        done = subprocess.run([BENCHMARKS / "profile", "relay 4"], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 2)
        self.assertIn("is 2 works; name one of: Relay 4 MiB, Relay 4 MiB, TLS to the client", done.stderr)


@unittest.skipUnless(len(os.sched_getaffinity(0)) > 1, "two cores are needed")
class FailedGatewayTests(unittest.TestCase):
    def test_a_gateway_that_does_not_start_is_a_failed_row_and_an_exit_code(self):
        self.check("echo 20 B", "gateway: failed.** it ended with exit code 1")

    def test_a_gateway_without_plugins_to_name_is_a_failed_row(self):
        self.check("resident", "gateway: failed.** `gateway plugins` names none")

    def check(self, work, reason):
        with tempfile.TemporaryDirectory() as folder:
            load = Path(folder) / "load"
            load.symlink_to("/bin/false")
            environment = os.environ | {"GATEWAY_BINARY": "/bin/false", "BENCHLOAD_BINARY": str(load)}
            done = subprocess.run(
                [BENCHMARKS / "run", "--only", work, "--rounds", "1", "--seconds", "0.1"],
                env=environment, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(reason, done.stdout)


if __name__ == "__main__":
    unittest.main()
