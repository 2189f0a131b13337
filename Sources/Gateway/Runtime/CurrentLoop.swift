import CLinux
import Glibc

/// Which loop a thread runs, in a thread-specific slot.
enum CurrentLoop {
    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        _ = unsafe pthread_key_create(&key, nil)
        return key
    }()

    /// The caller keeps the loop alive while it is set.
    static func set(_ loop: EventLoop?) {
        _ = unsafe pthread_setspecific(key, loop.map { unsafe Unmanaged.passUnretained($0).toOpaque() })
    }

    static func get() -> EventLoop? {
        guard let raw = unsafe pthread_getspecific(key) else { return nil }
        return unsafe Unmanaged<EventLoop>.fromOpaque(raw).takeUnretainedValue()
    }
}
