/// One state of one file, ready to be sent any number of times.
struct StaticFile: Sendable {
    enum Content: Sendable {
        case memory([UInt8])
        /// Too large to keep: read while it is sent.
        case open(OpenFile)
    }

    let content: Content
    let size: UInt64
    let validators: Validators
    let type: String
    /// Of a response that carries the file.
    let fields: HeaderFields
    /// Of one that says that the client's copy is good (RFC 9110 §15.4.5).
    let notModifiedFields: HeaderFields
    let isCompressed: Bool
    /// What it was made of: as long as this stays the same, so does the file. `nil` when it was too new to be sure.
    let facts: [FileFacts]?
}

/// Finds files and makes them ready. Blocks: for worker threads.
struct StaticFileLoader: Sendable {
    enum Outcome: Sendable {
        case file(StaticFile)
        /// As it was when last looked at.
        case unchanged
        /// A folder with an index, asked for without the slash at the end.
        case folder
        case nothing
    }

    let tree: FileTree
    let options: StaticFileOptions

    /// - Parameters:
    ///   - wantsGzip: Whether the compressed sibling is preferred.
    ///   - known: ``StaticFile/facts`` of the last time.
    /// - Throws: ``SystemError`` when the system is at fault, such as when no descriptor is free.
    func load(_ path: StaticFilePath, wantsGzip: Bool, known: [FileFacts]?) throws(SystemError) -> Outcome {
        var name = path.bytes
        guard var file = try open(name) else { return .nothing }
        if file.facts.kind == .folder {
            guard let index = options.index else { return .nothing }
            if !name.isEmpty { name.append(UInt8(ascii: "/")) }
            name += Array(index.utf8)
            guard let found = try open(name), found.facts.kind == .regular else { return .nothing }
            guard path.isFolder else { return .folder }
            file = found
        } else if path.isFolder || file.facts.kind != .regular {
            return .nothing
        }
        let sibling = try sibling(of: file, name)
        let facts = [file.facts] + (sibling.map { [$0.facts] } ?? [])
        if facts == known { return .unchanged }
        return .file(try make(file, sibling, name, prefersSibling: wantsGzip))
    }

    private func open(_ name: [UInt8]) throws(SystemError) -> OpenFile? {
        do throws(SystemError) {
            return try tree.open(name)
        } catch {
            guard error.isAbsence else { throw error }
            return nil
        }
    }

    /// The compressed form, made ahead of time. One that is older than the file is of an earlier state.
    private func sibling(of file: OpenFile, _ name: [UInt8]) throws(SystemError) -> OpenFile? {
        let suffix = Array(".gz".utf8)
        guard options.servesPrecompressed, !name.suffix(3).elementsEqual(suffix), let found = try open(name + suffix),
            found.facts.kind == .regular, found.facts.modified >= file.facts.modified
        else { return nil }
        return found
    }

    private func make(
        _ file: OpenFile, _ sibling: OpenFile?, _ name: [UInt8], prefersSibling: Bool
    ) throws(SystemError) -> StaticFile {
        let chosen = prefersSibling ? sibling ?? file : file
        let isCompressed = chosen !== file
        let now = WallClock.read().seconds
        var isSettled = file.facts.isSettled(now: now) && (sibling?.facts.isSettled(now: now) ?? true)
        var content = StaticFile.Content.open(chosen)
        var size = chosen.facts.size
        if size <= UInt64(options.limits.cachedFile.bytes) {
            let bytes = try chosen.read(at: 0, count: Int(size))
            // Written to meanwhile: what was read may be half old and half new.
            if try chosen.currentFacts() != chosen.facts || bytes.count != Int(size) { isSettled = false }
            size = UInt64(bytes.count)
            content = .memory(bytes)
        }
        let tag = Self.entityTag(of: content, chosen.facts, isCompressed: isCompressed, isSettled: isSettled)
        let validators = Validators(
            entityTag: tag, lastModified: min(chosen.facts.modified.seconds, now), isLastModifiedStrong: isSettled)
        let type = options.type(of: name)
        let shared = sharedFields(validators, varies: sibling != nil)
        return StaticFile(
            content: content, size: size, validators: validators, type: type,
            fields: fields(shared, validators, type, isCompressed: isCompressed), notModifiedFields: shared,
            isCompressed: isCompressed, facts: isSettled ? [file.facts] + (sibling.map { [$0.facts] } ?? []) : nil)
    }

    // MARK: Fields

    private func sharedFields(_ validators: Validators, varies: Bool) -> HeaderFields {
        var fields = HeaderFields()
        if let tag = validators.entityTag { try? fields.append(.eTag, checking: tag.description) }
        if let caching = options.cacheControl { try? fields.append(.cacheControl, checking: caching) }
        if varies { fields.vary(on: .acceptEncoding) }
        return fields
    }

    private func fields(
        _ shared: HeaderFields, _ validators: Validators, _ type: String, isCompressed: Bool
    ) -> HeaderFields {
        var fields = shared
        try? fields.append(.contentType, checking: type)
        if let modified = validators.lastModified {
            try? fields.append(.lastModified, checking: HTTPDate(unixSeconds: modified).description)
        }
        fields.append(.acceptRanges, "bytes")
        if isCompressed { fields.append(.contentEncoding, "gzip") }
        return fields
    }

    /// A small file is named by its bytes, so that every replica says the same, whatever its disk says of dates. A large
    /// one is named by length and time, and weakly while it may still be written to.
    private static func entityTag(
        of content: StaticFile.Content, _ facts: FileFacts, isCompressed: Bool, isSettled: Bool
    ) -> EntityTag {
        let suffix = isCompressed ? "-gz" : ""
        switch content {
        case .memory(let bytes):
            return EntityTag("\(hexadecimal(hash(bytes)))-\(hexadecimal(UInt64(bytes.count)))\(suffix)")
        case .open:
            let time = "\(facts.modified.seconds).\(facts.modified.nanoseconds)"
            return EntityTag("\(time)-\(hexadecimal(facts.size))\(suffix)", isWeak: !isSettled)
        }
    }

    private static func hexadecimal(_ number: UInt64) -> String { String(number, radix: 16) }

    /// FNV-1a: tells states of a file apart, and is no protection against somebody who writes the file.
    private static func hash(_ bytes: [UInt8]) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash
    }
}
