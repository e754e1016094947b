import Foundation

/// How far a migration is: a bar with the time that is left on a terminal, a line every two seconds
/// elsewhere, a JSON object for programs.
struct MigrationProgress {
    private let isJSON: Bool
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private var start = ContinuousClock.now
    private var shown: ContinuousClock.Instant
    /// What is under way, and where it was when that began.
    private var part = ""
    private var firstDone = 0

    private static let barWidth = 30

    init(isJSON: Bool) {
        self.isJSON = isJSON
        shown = start
    }

    mutating func show(_ done: Int, of total: Int, _ what: String) {
        let now = ContinuousClock.now
        if part != what { (part, firstDone, start) = (what, done, now) }
        guard now - shown >= (isTerminal ? .milliseconds(200) : .seconds(2)) else { return }
        shown = now
        let seconds = (now - start) / .seconds(1)
        let left =
            done > firstDone
            ? Int(seconds / Double(done - firstDone) * Double(max(0, total - done))) : nil
        if isJSON {
            let rest = left.map { ",\"seconds_left\":\($0)" } ?? ""
            print("{\"progress\":\"\(what)\",\"rows\":\(done),\"rows_total\":\(total)\(rest)}")
            fflush(nil)
            return
        }
        let eta = left.map { ", about \($0) s left" } ?? ""
        let text = "\(what): \(done) of \(total) rows\(eta)"
        let share = min(1, Double(done) / Double(max(1, total)))
        let filled = Int(share * Double(Self.barWidth))
        let bar =
            String(repeating: "#", count: filled)
            + String(repeating: ".", count: Self.barWidth - filled)
        write(isTerminal ? "\r[\(bar)] \(text)\u{1B}[K" : text + "\n")
    }

    /// Before anything else is printed.
    func end() {
        if isTerminal, !isJSON { write("\r\u{1B}[K") }
    }

    private func write(_ text: String) {
        FileHandle.standardError.write(Data(text.utf8))
    }
}
