public import Ledger

// Text, numbers and truth values. A number is read from the scalar's own characters: nothing passes
// through binary floating point.

extension YAMLValue {
    struct Scalar {
        /// After expansion.
        let text: String
        /// As written: what messages show, so that an expanded secret never gets into one.
        let written: String
        let isPlain: Bool
        var isExpanded: Bool { text != written }
    }

    func scalar(_ wanted: String) -> Scalar? {
        guard case .scalar(let written, let isPlain) = node.content else {
            refuse("\(name) is \(node.kind), not \(wanted)", "write \(wanted)")
            return nil
        }
        guard !node.isEmpty else {
            refuse("\(name) is empty", "write \(wanted)")
            return nil
        }
        guard let text = expanded(written).flatMap(decrypted) else { return nil }
        return Scalar(text: text, written: written, isPlain: isPlain)
    }

    private func expanded(_ written: String) -> String? {
        guard written.contains("${") else { return written }
        return Expander(expansion: expansion, place: place, findings: findings).expand(written)
    }

    private func decrypted(_ text: String) -> String? {
        guard text.hasPrefix(Expansion.encryptedPrefix) else { return text }
        do {
            return try expansion.decrypt(text)
        } catch {
            refuse("\(name) \(error.problem)", error.remedy)
            return nil
        }
    }

    /// True while it is recorded what a reader accepts: then there is nothing to read.
    func isRecording(_ kind: YAMLShape.Kind) -> Bool {
        shape?.kinds.append(kind)
        return shape != nil
    }

    /// Text. Words that YAML readers disagree about (`off`, `no`, `true` …) must be quoted.
    public func text() -> String? {
        guard !isRecording(.text), let scalar = scalar("text"), isText(scalar) else { return nil }
        guard !scalar.text.utf8.contains(0) else {
            refuse("\(name) contains a NUL character", "remove it")
            return nil
        }
        return scalar.text
    }

    /// Text that is not empty.
    public func nonEmptyText() -> String? {
        guard let text = text() else { return nil }
        guard !text.isEmpty else {
            refuse("\(name) is an empty text", "write a value, or remove the key")
            return nil
        }
        return text
    }

    public func secret() -> Secret? { nonEmptyText().map { Secret($0) } }

    private func isText(_ scalar: Scalar) -> Bool {
        guard scalar.isPlain, Self.ambiguousWords.contains(scalar.written.lowercased()) else {
            return true
        }
        refuse(
            "\(name): \(scalar.written) without quotes is a truth value to some readers of YAML",
            "quote it: \"\(scalar.written)\"")
        return false
    }

    private static let ambiguousWords: Set<String> = [
        "y", "n", "yes", "no", "on", "off", "true", "false",
    ]

    public func boolean() -> Bool? {
        guard !isRecording(.boolean), let scalar = scalar("true or false") else { return nil }
        if scalar.isPlain || scalar.isExpanded {
            if scalar.text == "true" { return true }
            if scalar.text == "false" { return false }
        }
        let remedy =
            switch scalar.written.lowercased() {
            case "true", "yes", "on", "y", "1": "write true"
            case "false", "no", "off", "n", "0": "write false"
            default: "write true or false"
            }
        let shown = scalar.isPlain ? scalar.written : "\"\(scalar.written)\""
        refuse("\(name): \(Quoted.short(shown)) is not a truth value", remedy)
        return nil
    }

    /// A whole number within `range`, written in digits, unquoted.
    public func integer(in range: ClosedRange<Int> = Int.min...Int.max) -> Int? {
        guard !isRecording(.integer(range)), let scalar = scalar("a whole number") else {
            return nil
        }
        let shown = Quoted.short(scalar.written)
        guard Self.isInteger(scalar.text) else {
            refuse("\(name): '\(shown)' is not a whole number", "write digits only, as in 10")
            return nil
        }
        guard scalar.isPlain || scalar.isExpanded else {
            refuse("\(name): \"\(shown)\" is text", "write the number without quotes")
            return nil
        }
        guard let number = Int(scalar.text), range.contains(number) else {
            refuse("\(name): \(shown) is out of range", "write a number \(Self.describe(range))")
            return nil
        }
        return number
    }

    /// `0`, `-12`, `60`; no leading zero, which would be octal to some readers, and no underscore.
    private static func isInteger(_ text: String) -> Bool {
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }) else {
            return false
        }
        return digits.utf8.count == 1 || !digits.hasPrefix("0")
    }

    static func describe(_ range: ClosedRange<Int>) -> String {
        if range.upperBound == Int.max {
            return range.lowerBound == Int.min
                ? "of at most 18 digits" : "from \(range.lowerBound) up"
        }
        return "from \(range.lowerBound) to \(range.upperBound)"
    }

    /// An exact decimal; the quoted form is taken too, since that is how JSON writes money.
    public func decimal(from least: ExactDecimal? = nil) -> ExactDecimal? {
        guard !isRecording(.decimal(least: least)), let scalar = scalar("a decimal number") else {
            return nil
        }
        let shown = Quoted.short(scalar.written)
        guard let number = ExactDecimal(scalar.text) else {
            refuse(
                "\(name): '\(shown)' is not a decimal number",
                "write at most 38 digits with at most 18 after the point, as in 100.25")
            return nil
        }
        if let least, number < least {
            refuse("\(name): \(shown) is too small", "write a number from \(least) up")
            return nil
        }
        return number
    }

    /// One of a fixed set of words.
    public func choice<Choice: CaseIterable & RawRepresentable<String>>(
        _ type: Choice.Type = Choice.self
    ) -> Choice? {
        let words = Choice.allCases.map(\.rawValue)
        guard !isRecording(.choice(words)),
            let scalar = scalar("one of: \(words.joined(separator: ", "))")
        else { return nil }
        if let choice = Choice(rawValue: scalar.text) { return choice }
        refuse(
            "\(name): '\(Quoted.short(scalar.written))' is not known",
            NearestName.remedy(for: scalar.written, in: words, noun: "words here"))
        return nil
    }
}
