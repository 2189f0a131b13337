/// How files are served.
package struct StaticFileOptions: Sendable {
    /// The file that stands for its folder; `nil` serves no folders.
    package var index: String? = "index.html"
    /// Sent as Cache-Control. By default browsers ask again each time, which an unchanged file answers with 304; files
    /// whose names change with their content deserve `public, max-age=31536000, immutable`. `nil` sends none.
    package var cacheControl: String? = "no-cache"
    /// Whether names that start with a dot are served. `.well-known` at the top always is.
    package var showsHidden = false
    /// Whether `page.html.gz` is sent in place of `page.html` to clients that accept gzip, unless it is older.
    package var servesPrecompressed = true
    /// Media types by extension in lower case, before those in ``MediaTypes``.
    package var types: [String: String] = [:]
    /// What serving may take.
    package var limits = StaticFileLimits()

    package init() {}

    func type(of name: [UInt8]) -> String {
        let file = name.split(separator: UInt8(ascii: "/")).last ?? []
        guard let dot = file.lastIndex(of: UInt8(ascii: ".")) else {
            return MediaTypes.type(ofExtension: "").description
        }
        let suffix = String(decoding: file[(dot + 1)...], as: UTF8.self)
        return types[suffix.lowercased()] ?? MediaTypes.type(ofExtension: suffix).description
    }
}

/// What serving files may take.
package struct StaticFileLimits: Sendable {
    /// Files up to this size are sent from memory.
    package var cachedFile = ByteCount.kibibytes(64)
    /// Memory for those, per event loop. Zero reads every file anew.
    package var cache = ByteCount.mebibytes(8)
    /// How long a file in memory is sent without a look at the disk.
    package var trust = Duration.seconds(1)
    /// A request for more ranges than this gets the whole file.
    package var ranges = 16
    /// How much of a large file is read at once.
    package var chunk = ByteCount.kibibytes(128)

    package init() {}
}

extension Registrar {
    /// Serves the files below a folder at the paths that start with `prefix`.
    ///
    /// - Parameters:
    ///   - prefix: `/assets`, or `/` for all that no other route takes.
    ///   - root: A folder, which need not exist yet. Links that lead out of it are not followed.
    package mutating func files(
        _ prefix: String, from root: String, options: StaticFileOptions = StaticFileOptions(),
        access: Access = .anyone, at entry: EntryPoint = .main
    ) {
        let files = StaticFiles(root: root, options: options, in: context)
        let base = prefix.hasSuffix("/") ? String(prefix.dropLast()) : prefix
        get("\(base)/{path...}", access: access, at: entry) { request in
            try await files.answer(request, path: request.capture("path") ?? "")
        }
        guard options.index != nil else { return }
        get("\(base)/", access: access, at: entry) { try await files.answer($0, path: "") }
        if !base.isEmpty { get(base, access: access, at: entry) { StaticFiles.redirectToFolder($0) } }
    }
}

/// Answers GET and HEAD with the files below one folder (RFC 9110 §13 and §14 included).
///
/// Small files come from the loop's memory. Others are read in pieces while they are sent, from the page cache on the
/// loop and from the disk on a worker thread, no faster than the client takes them.
package struct StaticFiles: Sendable {
    private let loader: StaticFileLoader
    private let limits: StaticFileLimits
    private let caches: PerLoop<StaticFileCache>

    /// - Parameter root: As in ``Registrar/files(_:from:access:at:options:)``, which most plugins call instead.
    package init(root: String, options: StaticFileOptions = StaticFileOptions(), in context: GatewayContext) {
        loader = StaticFileLoader(tree: FileTree(root: root), options: options)
        let limits = options.limits
        self.limits = limits
        caches = PerLoop(count: context.loopCount) { _ in StaticFileCache(limit: limits.cache) }
    }

    /// - Parameter path: Below the folder, percent-encoded, without a slash in front.
    /// - Throws: ``GatewayFault`` 404, 412, 416, or 503 when the worker threads cannot keep up.
    package func answer(_ request: Request, path: String) async throws -> Response {
        guard let path = StaticFilePath(encoded: path.utf8, showsHidden: loader.options.showsHidden) else {
            throw GatewayFault.notFound()
        }
        let codings = unsafe request.head.acceptedCodings(in: request.headBytes)
        let wantsGzip = loader.options.servesPrecompressed && codings.prefersGzip
        guard let file = try await find(path, wantsGzip: wantsGzip, on: request.loop) else {
            return Self.redirectToFolder(request)
        }
        return try StaticFileReply(file: file, request: request, limits: limits).response()
    }

    // MARK: Finding

    /// - Returns: `nil` for a folder that was asked for as if it were a file.
    private func find(_ path: StaticFilePath, wantsGzip: Bool, on loop: EventLoop) async throws -> StaticFile? {
        // No path holds a NUL. What is sent to those who accept gzip is an entry of its own.
        let key = path.bytes + [0, path.isFolder ? 1 : 0, wantsGzip ? 1 : 0]
        let entry = caches.value(on: loop).entry(for: key)
        if let entry {
            if loop.now < entry.checkAgainAt { return entry.file }
            // The others are served as before while this request finds out.
            entry.checkAgainAt = loop.now + limits.trust
        }
        let (loader, known) = (loader, entry?.file.facts)
        do {
            let outcome = try await loop.offload("static file") {
                try loader.load(path, wantsGzip: wantsGzip, known: known)
            }
            if case .unchanged = outcome, let entry { return entry.file }
            return try keep(outcome, for: key, on: loop)
        } catch {
            guard error is WorkerPool.Busy || (error as? SystemError)?.isOutOfDescriptors == true else { throw error }
            // Better a moment old than not at all.
            guard let entry else { throw Self.busy }
            return entry.file
        }
    }

    private func keep(
        _ outcome: StaticFileLoader.Outcome, for key: [UInt8], on loop: EventLoop
    ) throws(GatewayFault) -> StaticFile? {
        let cache = caches.value(on: loop)
        switch outcome {
        case .file(let file):
            cache.insert(.init(file, checkAgainAt: loop.now + limits.trust), for: key)
            return file
        case .folder:
            cache.remove(key)
            return nil
        case .nothing, .unchanged:
            cache.remove(key)
            throw .notFound()
        }
    }

    private static var busy: GatewayFault {
        var fields = HeaderFields()
        fields.append(.retryAfter, "1")
        return GatewayFault(
            .serviceUnavailable, "busy", "Too many files are being read.", source: .gateway, fields: fields)
    }

    /// Sends the client to the same path with a slash, where relative links of the index lead to the right places.
    static func redirectToFolder(_ request: Request) -> Response {
        var response = Response(status: .movedPermanently)
        let query = request.query.map { "?\($0)" } ?? ""
        // Both were parsed out of a request, so that neither holds a control character.
        try? response.fields.append(.location, checking: "\(request.path)/\(query)")
        return response
    }
}
