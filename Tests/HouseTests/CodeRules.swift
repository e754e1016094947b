import Foundation

/// What code must not do.
extension Repository {
    /// Each of these ends the process, or holds a thread of the pool up.
    func forbiddenCalls() -> [Finding] {
        let forbidden = [
            (word: "try!", why: "throw, or handle the error"),
            (word: "as!", why: "cast with as?"),
            (word: "fatalError(", why: "input must not end the process"),
            (word: "Thread.sleep", why: "it blocks a thread: use a clock"),
            (word: "usleep(", why: "it blocks a thread: use a clock"),
            (word: "nanosleep(", why: "it blocks a thread: use a clock"),
            (word: "sem_wait(", why: "it blocks a thread: use a continuation"),
            (word: "DispatchSemaphore", why: "it blocks a thread: use a continuation"),
        ]
        return sources.flatMap { file in
            file.codeFindings { line in
                line.callsBlockingSleep
                    ? "sleep(: it blocks a thread: use a clock"
                    : forbidden.first { line.hasWord($0.word) }.map { "\($0.word): \($0.why)" }
            }
        }
    }

    func unfinishedMarks() -> [Finding] {
        sources.flatMap { file in
            file.lines.enumerated().compactMap { index, line in
                ["TODO", "FIXME"].first(where: line.hasWord).map {
                    file.finding(index, "\($0): finish it, or write it down where it is tracked")
                }
            }
        }
    }

    func longFiles(max: Int = 500) -> [Finding] {
        files.filter { $0.target != nil }.compactMap { file in
            let count = file.lines.last == "" ? file.lines.count - 1 : file.lines.count
            guard count > max else { return nil }
            return Finding(
                path: file.path, line: max + 1,
                problem: "\(count) lines: look for the two things in it (at most \(max))")
        }
    }

    /// Money and quantities are exact decimals. `allowed` says where a word may stand, and why.
    func binaryFloatingPoint() -> [Finding] {
        let allowed: [String: (word: String, why: String)] = [
            "Sources/Trading/Risk/AccountRules.swift":
                ("TimeInterval", "Foundation asks a time zone's offset by a Date")
        ]
        let types = ["Double", "Float", "Float16", "Float32", "Float64", "CGFloat", "TimeInterval"]
        return sources.filter { ["Ledger", "Trading"].contains($0.target) }.flatMap { file in
            file.codeFindings { line in
                if let type = types.first(where: line.hasWord), type != allowed[file.path]?.word {
                    return "\(type): binary floating point has no place beside money"
                }
                return line.contains(/(?:^|[^\w.])[0-9][0-9_]*\.[0-9]/)
                    ? "a literal with a point is binary floating point" : nil
            }
        }
    }
}

// MARK: - Locks

extension Repository {
    /// `@unchecked Sendable` gives its reason in the comment above the type or a type around it.
    func uncheckedSendableWithoutReason() -> [Finding] {
        sources.flatMap { file in
            file.codeFindings { index, line in
                line.contains("@unchecked Sendable") && !file.explainsUnchecked(at: index)
                    ? "@unchecked Sendable: say why above the type" : nil
            }
        }
    }

    /// A file with a lock says in a comment what the lock is for.
    func unexplainedLocks() -> [Finding] {
        let locks = ["Mutex", "NSLock", "NSRecursiveLock", "NSCondition", "pthread_mutex_t"]
        return sources.flatMap { file -> [Finding] in
            let found = file.codeFindings { line in
                locks.first(where: line.hasWord).map { "\($0): say what the lock is for" }
            }
            let comments = found.isEmpty ? [] : file.swift?.comments ?? []
            let isExplained = comments.contains { $0.contains(/\b(?i:lock|locks|locked)\b/) }
            return isExplained ? [] : found
        }
    }
}

extension TextFile {
    /// Findings by line of code.
    func codeFindings(_ problem: (Int, String) -> String?) -> [Finding] {
        (swift?.code ?? []).enumerated().compactMap { index, line in
            line.isEmpty ? nil : problem(index, line).map { finding(index, $0) }
        }
    }

    func codeFindings(_ problem: (String) -> String?) -> [Finding] {
        codeFindings { problem($1) }
    }

    /// Goes up from a type to the types around it.
    func explainsUnchecked(at index: Int) -> Bool {
        guard let swift else { return false }
        var index = index
        while true {
            if swift.commentAbove(index).contains(/(?i:unchecked)/) { return true }
            let indentation = lines[index].prefix { $0 == " " }.count
            let outer = lines[..<index].lastIndex { line in
                line.contains(/\b(class|struct|enum|actor|extension)\b.*\{/)
                    && line.prefix { $0 == " " }.count < indentation
            }
            guard let outer else { return false }
            index = outer
        }
    }
}

extension SwiftText {
    /// The comment right above a declaration, its attributes between them left out.
    func commentAbove(_ index: Int) -> String {
        var comment: [String] = []
        for line in stride(from: index - 1, through: 0, by: -1) {
            let isAttribute = code[line].drop { $0 == " " }.hasPrefix("@")
            if comments[line].isEmpty, !isAttribute { break }
            comment.append(comments[line])
        }
        return comment.joined(separator: "\n")
    }
}

extension String {
    /// The C library's `sleep`, and no method or parameter of that name that is awaited.
    fileprivate var callsBlockingSleep: Bool {
        contains("sleep(")
            && ranges(of: "sleep(").contains { range in
                let before = self[..<range.lowerBound]
                if before.hasSuffix("Glibc.") || before.hasSuffix("Foundation.") { return true }
                return before.last.map { !$0.isNameCharacter && $0 != "." } ?? true
                    && !before.hasSuffix("await ") && !before.hasSuffix("func ")
            }
    }

    /// Whether a word stands here, not as a part of a longer one.
    func hasWord(_ word: String) -> Bool {
        // Most lines have nothing of it, and a library's search is quick even in a debug build.
        contains(word)
            && ranges(of: word).contains { range in
                let before =
                    range.lowerBound > startIndex ? self[index(before: range.lowerBound)] : " "
                let after = range.upperBound < endIndex ? self[range.upperBound] : " "
                return !before.isNameCharacter
                    && !(after.isNameCharacter && word.last?.isNameCharacter == true)
            }
    }
}

extension Character {
    fileprivate var isNameCharacter: Bool { isLetter || isNumber || self == "_" }
}
