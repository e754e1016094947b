/// Guesses which valid name was meant.
public enum NearestName {
    /// The candidate with the fewest typing slips, or nil when none is near enough to be a guess.
    public static func nearest(to name: String, in candidates: some Sequence<String>) -> String? {
        let wanted = Array(name.lowercased().unicodeScalars.prefix(lengthMax))
        // In a name of one or two letters a single slip leaves next to nothing of it.
        let slipsMax = wanted.count < 3 ? 0 : max(1, wanted.count / 3)
        var best: (name: String, slips: Int)?
        for candidate in candidates {
            let letters = Array(candidate.lowercased().unicodeScalars.prefix(lengthMax))
            guard abs(letters.count - wanted.count) <= slipsMax else { continue }
            let slips = editDistance(wanted, letters)
            guard slips <= slipsMax, slips < (best?.slips ?? Int.max) else { continue }
            best = (candidate, slips)
        }
        return best?.name ?? beginning(with: name, in: candidates)
    }

    /// Half a word is a guess too, where only one name begins with it: `rotate` for `rotate_at`.
    private static func beginning(
        with name: String, in candidates: some Sequence<String>
    ) -> String? {
        let name = name.lowercased()
        guard name.unicodeScalars.count >= 3 else { return nil }
        let found = candidates.filter { $0.lowercased().hasPrefix(name) }
        return found.count == 1 ? found.first : nil
    }

    /// What to write instead of a name that nothing defines.
    public static func remedy(for name: String, in candidates: [String], noun: String) -> String {
        if let near = nearest(to: name, in: candidates) { return "write \(near)" }
        guard !candidates.isEmpty else { return "there are no \(noun) to choose from" }
        let shown = candidates.prefix(shownMax).joined(separator: ", ")
        let more = candidates.count > shownMax ? ", … (\(candidates.count) in all)" : ""
        return "the \(noun) are: \(shown)\(more)"
    }

    /// A name longer than this is no slip of the keys, and comparing it would only cost time.
    private static let lengthMax = 80
    private static let shownMax = 30

    /// Insertions, deletions, replacements and swaps of neighbours.
    static func editDistance(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar]) -> Int {
        var beforeLast = [Int](repeating: 0, count: right.count + 1)
        var last = Array(0...right.count)
        for (row, leftLetter) in left.enumerated() {
            var current = [row + 1]
            current.reserveCapacity(right.count + 1)
            for (column, rightLetter) in right.enumerated() {
                let replaced = last[column] + (leftLetter == rightLetter ? 0 : 1)
                var cost = min(replaced, last[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, leftLetter == right[column - 1],
                    left[row - 1] == rightLetter
                {
                    cost = min(cost, beforeLast[column - 1] + 1)
                }
                current.append(cost)
            }
            beforeLast = last
            last = current
        }
        return last[right.count]
    }
}
