extension SettingsReader {
    /// Names in the environment that nothing read and that look like a mistake, in alphabetical order.
    ///
    /// Meaningful after everything was read: a name under a known prefix, or within two edits of a known name. Short
    /// names get less tolerance, since `PATH` is not a misspelt `PORT`.
    package var warnings: [SettingWarning] {
        let known = knownNames.sorted()
        return environment.keys.sorted().compactMap { name in
            guard !knownNames.contains(name), !isServiceLink(name) else { return nil }
            let nearest = nearestName(to: name, among: known)
            let hasKnownPrefix = prefixes.contains { name.hasPrefix("\($0)_") }
            guard hasKnownPrefix || nearest != nil else { return nil }
            return SettingWarning(name: name, suggestion: nearest)
        }
    }

    /// What Kubernetes sets for every Service in a namespace: `ECHO_SERVICE_HOST`, `ECHO_PORT=tcp://…`.
    private func isServiceLink(_ name: String) -> Bool {
        let value = environment[name] ?? ""
        return name.hasSuffix("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || name.contains("_TCP")
            || name.contains("_UDP") || value.hasPrefix("tcp://") || value.hasPrefix("udp://")
    }
}

/// The candidate within few edits of `name`: two, or one for names under eight letters, or none under five.
///
/// Usable for any list of names a person types; the first candidate wins a tie.
///
/// - Parameter tolerance: How many edits, where `name` is known to be meant as one of few candidates.
package func nearestName(to name: String, among candidates: [String], tolerance: Int? = nil) -> String? {
    let tolerance = tolerance ?? (name.utf8.count < 5 ? 0 : name.utf8.count < 8 ? 1 : 2)
    var best: (name: String, edits: Int)?
    for candidate in candidates where tolerance > 0 {
        let edits = editDistance(Array(name.utf8), Array(candidate.utf8), limit: best.map { $0.edits - 1 } ?? tolerance)
        if let edits { best = (candidate, edits) }
    }
    return best?.name
}

/// Insertions, deletions, replacements and swaps of neighbours between two names, or `nil` when more than `limit`.
func editDistance(_ left: [UInt8], _ right: [UInt8], limit: Int) -> Int? {
    guard limit >= 0, abs(left.count - right.count) <= limit else { return nil }
    var twoBack: [Int] = []
    var previous = Array(0...right.count)
    for row in 0..<left.count {
        var current = [row + 1]
        for column in 0..<right.count {
            let isSame = left[row] == right[column]
            var best = min(previous[column] + (isSame ? 0 : 1), previous[column + 1] + 1, current[column] + 1)
            if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                best = min(best, twoBack[column - 1] + 1)
            }
            current.append(best)
        }
        (twoBack, previous) = (previous, current)
    }
    return previous[right.count] <= limit ? previous[right.count] : nil
}
