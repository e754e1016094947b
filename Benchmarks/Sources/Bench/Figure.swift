import Foundation

/// One measured figure beside its peer or limit, both from the same run.
struct Figure {
    enum Goal {
        /// Ours divided by the peer's is at least this.
        case ratioAtLeast(Double)
        case ratioAtMost(Double)
        /// Ours is at most this, whatever the peer column says.
        case atMost(Double)
    }

    let id: String
    let what: String
    let ours: Double
    let peer: Double
    let unit: String
    let goal: Goal
    var note = ""

    var ratio: Double { peer == 0 ? 0 : ours / peer }

    var isMet: Bool {
        switch goal {
        case .ratioAtLeast(let least): ratio >= least
        case .ratioAtMost(let most): ratio <= most
        case .atMost(let most): ours <= most
        }
    }

    var goalText: String {
        switch goal {
        case .ratioAtLeast(let least): "ratio ≥ \(least)"
        case .ratioAtMost(let most): "ratio ≤ \(most)"
        case .atMost(let most): "≤ \(Self.number(most)) \(unit)"
        }
    }

    static func number(_ value: Double) -> String {
        value >= 1_000 ? String(Int(value.rounded())) : String(format: "%.3g", value)
    }

    var cells: [String] {
        [
            id, what + (note.isEmpty ? "" : " (\(note))"), "\(Self.number(ours)) \(unit)",
            "\(Self.number(peer)) \(unit)", String(format: "%.2f", ratio), goalText,
            isMet ? "met" : "missed",
        ]
    }

    var line: String { cells.joined(separator: " | ") }
}

/// `Benchmarks/RESULTS.md`: the latest run on top, the figures that were missed among them.
enum ResultsFile {
    static func add(_ figures: [Figure], to path: String) throws {
        let cpu = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?
            .split(separator: "\n").first { $0.hasPrefix("model name") }?
            .split(separator: ":").last?.trimmingCharacters(in: .whitespaces)
        let cores = ProcessInfo.processInfo.activeProcessorCount
        let date = Date().formatted(.iso8601.year().month().day())
        var text = "## \(date), \(cores) cores, \(cpu ?? "unknown processor")\n\n"
        text += "| ID | what | ours | peer or limit | ratio | goal | |\n"
        text += "| --- | --- | --- | --- | --- | --- | --- |\n"
        for figure in figures { text += "| " + figure.line + " |\n" }
        let head = "# Measured\n\nBy `make bench`; ours and the peer in turn in one run.\n\n"
        let old = (try? String(contentsOfFile: path, encoding: .utf8)) ?? head
        let rest = old.hasPrefix(head) ? String(old.dropFirst(head.count)) : ""
        try (head + text + "\n" + rest).write(toFile: path, atomically: true, encoding: .utf8)
    }
}
