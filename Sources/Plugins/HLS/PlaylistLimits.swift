package import PluginKit

/// What a playlist may cost. A playlist comes from a stranger, and every number in it is theirs to choose.
package struct PlaylistLimits: Hashable, Sendable {
    /// The playlist as it arrives. 8 MiB hold a day of two-second segments with long names.
    package var input: ByteCount = .mebibytes(8)
    /// The playlist as it leaves: each reference grows by its base URL and by a third.
    package var output: ByteCount = .mebibytes(32)
    /// One line. Keys with embedded protection headers and ad markers run to some tens of kilobytes.
    package var line: ByteCount = .kibibytes(64)
    /// Lines, blank ones and comments included.
    package var lines = 500_000
    /// References rewritten.
    package var references = 200_000
    /// One URL, before and after resolving.
    package var url: ByteCount = .kibibytes(8)
    /// Definitions in one playlist, and variables carried by one link.
    package var variables = 128
    /// One variable's value, after substitution. Bounds definitions that double each other.
    package var variable: ByteCount = .kibibytes(4)
    /// What a link carries for its child playlist to import; more than this is not carried.
    package var carried: ByteCount = .kibibytes(2)
    /// Delivery directives (`_HLS_…`) forwarded with one request.
    package var directives = 16

    package init() {}

    /// - Parameter input: The playlist as it arrives; ``output`` is four times that.
    package init(input: ByteCount) {
        self.input = input
        output = .bytes(input.bytes * 4)
    }
}
