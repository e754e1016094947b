extension Value {
    /// The value as a text that other programs read: decimals exact, times in RFC 3339 UTC, `true` and
    /// `false`. Nil for null.
    public var plainText: String? {
        if case .null = self { nil } else { description }
    }

    /// Reads such a text, as opsd or another program wrote it: a number may have trailing zeros, a time
    /// any offset or none (which is taken for UTC), a boolean may be 0 or 1. Nil when it is no value of
    /// the type.
    public init?(plainText text: String, as type: FieldType) {
        switch type {
        case .text:
            guard !text.utf8.contains(0) else { return nil }
            self = .text(text)
        case .integer:
            guard let number = Int64(text) else { return nil }
            self = .integer(number)
        case .decimal:
            guard let number = ExactDecimal(text) else { return nil }
            self = .decimal(number)
        case .timestamp:
            guard let time = Timestamp(text) ?? Timestamp(text + "Z") else { return nil }
            self = .timestamp(time)
        case .boolean:
            switch text {
            case "true", "1": self = .boolean(true)
            case "false", "0": self = .boolean(false)
            default: return nil
            }
        case .json:
            guard let json = try? CanonicalJSON(parsing: text) else { return nil }
            self = .json(json)
        }
    }

    /// The same of what lies in a store: every `plainText` is read back, also of a time that no client may
    /// write, because RFC 3339 does not have its year.
    public init?(written text: String, as type: FieldType) {
        if type == .timestamp, let time = Timestamp(description: text) {
            self = .timestamp(time)
        } else {
            self.init(plainText: text, as: type)
        }
    }
}
