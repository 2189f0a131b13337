"""A network that breaks connections: a TCP proxy that cuts them where a test says."""

import socket
import threading


class Cutter:
    """A TCP proxy to `port`, which may be changed; cuts each connection after as many bytes as `allow` says."""

    def __init__(self, port, allow=lambda: None):
        self.target = port
        self.cuts = 0
        #: Connections are refused while this is not set.
        self.is_open = True
        self._allow = allow
        self._connections = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://localhost:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                if not self.is_open:
                    raise OSError("closed")
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            self._connections |= {near, far}
            left = [self._allow()]
            for source, sink in ((near, far), (far, near)):
                self._threads.append(threading.Thread(target=self._pass, args=(source, sink, left)))
                self._threads[-1].start()

    def _pass(self, source, sink, left):
        try:
            while block := source.recv(16384):
                if left[0] is not None:
                    left[0] -= len(block)
                    if left[0] < 0:
                        self.cuts += 1
                        left[0] = None
                        # In the middle of whatever it was.
                        sink.sendall(block[:len(block) // 2])
                        break
                sink.sendall(block)
        except OSError:
            pass
        for each in (source, sink):
            self._end(each)

    def _end(self, connection):
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def cut(self):
        for each in list(self._connections):
            self._end(each)

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()
        for each in self._connections:
            each.close()
