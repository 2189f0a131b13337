/// What tells one state of a representation from another (RFC 9110 §8.8).
package struct Validators: Equatable, Sendable {
    package let entityTag: EntityTag?
    /// Seconds since 1970.
    package let lastModified: Int64?
    /// Whether no second change can have happened within the second of ``lastModified`` (RFC 9110 §8.8.2.2).
    package let isLastModifiedStrong: Bool

    package init(entityTag: EntityTag? = nil, lastModified: Int64? = nil, isLastModifiedStrong: Bool = false) {
        self.entityTag = entityTag
        self.lastModified = lastModified
        self.isLastModifiedStrong = isLastModifiedStrong
    }
}

/// What a request's preconditions lead to.
package enum PreconditionResult: Equatable, Sendable {
    case proceed
    /// 304: the client's copy is good.
    case notModified
    /// 412: it is not the state that the client wants to act on.
    case failed
}

extension RequestHead {
    /// Evaluates the preconditions of a request for a representation that exists, in the order of RFC 9110 §13.2.2:
    /// a tag outranks a date, and a request to change comes before one to save a transfer.
    ///
    /// - Parameters:
    ///   - bytes: Those this head was parsed from.
    ///   - now: Seconds since 1970, for dates with two-digit years.
    package func preconditions(
        in bytes: UnsafeRawBufferPointer, for current: Validators, now: Int64
    ) -> PreconditionResult {
        guard unsafe fields.holdsCondition(in: bytes) else { return .proceed }
        if unsafe fields.contains(.ifMatch, in: bytes) {
            guard unsafe holds(.ifMatch, current.entityTag, .strong, bytes) else { return .failed }
        } else if let date = unsafe date(.ifUnmodifiedSince, bytes, now: now), let modified = current.lastModified {
            guard modified <= date else { return .failed }
        }
        let isRead = method == .get || method == .head
        if unsafe fields.contains(.ifNoneMatch, in: bytes) {
            guard unsafe holds(.ifNoneMatch, current.entityTag, .weak, bytes) else { return .proceed }
            return isRead ? .notModified : .failed
        }
        if isRead, let date = unsafe date(.ifModifiedSince, bytes, now: now), let modified = current.lastModified,
            modified <= date
        {
            return .notModified
        }
        return .proceed
    }

    /// Which part of a representation a request wants (RFC 9110 §14.2, §13.1.5).
    ///
    /// - Parameters:
    ///   - length: Of the whole representation.
    ///   - limit: The most ranges that are answered; a request for more is answered with the whole.
    package func selection(
        in bytes: UnsafeRawBufferPointer, of length: UInt64, for current: Validators, now: Int64, limit: Int
    ) -> RangeSelection {
        guard method == .get, unsafe fields.contains(.range, in: bytes),
            unsafe fields.count(of: .range, in: bytes) == 1,
            let range = unsafe fields.find(.range, in: bytes), unsafe ifRangeHolds(bytes, current, now: now)
        else { return .whole }
        return unsafe RangeSelection(Input(bytes)[range.value], length: length, limit: limit)
    }

    /// Whether any element of the field's lines is `*` or a tag equal to the current one.
    private func holds(
        _ name: HeaderName, _ current: EntityTag?, _ comparison: EntityTag.Comparison, _ bytes: UnsafeRawBufferPointer
    ) -> Bool {
        var found = false
        let input = unsafe Input(bytes)
        unsafe fields.forEach(name, in: bytes) { line in
            let value = input[line.value]
            if value.count == 1, value[0] == 0x2A { found = true }
            guard let current else { return }
            if TagInput.list(value, contains: { current.matches($0, comparison) }) { found = true }
        }
        return found
    }

    /// `nil` also for what is not one date, which must be ignored.
    private func date(_ name: HeaderName, _ bytes: UnsafeRawBufferPointer, now: Int64) -> Int64? {
        guard unsafe fields.count(of: name, in: bytes) == 1, let value = unsafe value(of: name, in: bytes) else {
            return nil
        }
        return unsafe HTTPDate.parse(value, now: now)
    }

    /// Whether the part that the client lacks belongs to the part that it has.
    private func ifRangeHolds(_ bytes: UnsafeRawBufferPointer, _ current: Validators, now: Int64) -> Bool {
        guard unsafe fields.contains(.ifRange, in: bytes) else { return true }
        guard unsafe fields.count(of: .ifRange, in: bytes) == 1, let value = unsafe value(of: .ifRange, in: bytes)
        else { return false }
        if let tag = unsafe TagInput.only(Input(value)) { return current.entityTag?.matches(tag, .strong) ?? false }
        guard current.isLastModifiedStrong, let date = unsafe HTTPDate.parse(value, now: now) else { return false }
        return date == current.lastModified
    }
}

extension FieldTable {
    /// Whether a request has any of the fields that ``RequestHead/preconditions(in:for:now:)`` looks at: five bit
    /// tests, usually all there is to do.
    fileprivate func holdsCondition(in bytes: UnsafeRawBufferPointer) -> Bool {
        unsafe contains(.ifNoneMatch, in: bytes) || contains(.ifModifiedSince, in: bytes)
            || contains(.ifMatch, in: bytes) || contains(.ifUnmodifiedSince, in: bytes)
    }
}
