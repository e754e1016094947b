internal import ExactJSON
internal import Ledger

/// The data of a row: what other programs read.
extension RowCoding {
    static let null = Array("None".utf8)

    /// Appends the JSON object, or the one field's text.
    func appendPayload(_ values: [Value], to bytes: inout [UInt8]) {
        guard case .json = value else {
            if let only = shown.first { Self.appendText(values[only.index], to: &bytes) }
            return
        }
        bytes.append(UInt8(ascii: "{"))
        var isFirst = true
        for field in shown {
            if !isFirst { bytes.append(UInt8(ascii: ",")) }
            isFirst = false
            bytes += field.member
            RowJSON.append(values[field.index], to: &bytes)
        }
        bytes.append(UInt8(ascii: "}"))
    }

    /// A value by itself: booleans are 1 and 0, null is `None`, as the documents' programs write them.
    static func appendText(_ value: Value, to bytes: inout [UInt8]) {
        switch value {
        case .null: bytes += null
        case .boolean(let flag): bytes.append(UInt8(ascii: flag ? "1" : "0"))
        case .text(let text): bytes += text.utf8
        case .integer(let number): bytes.appendDigits(number)
        case .decimal(let number): number.append(to: &bytes)
        case .timestamp(let time): time.append(to: &bytes)
        case .json(let json): bytes += json.text.utf8
        }
    }

    /// Whether the data alone would be read back as another value: then the stamp has it too.
    func isAmbiguous(_ value: Value, of field: Field) -> Bool {
        switch value {
        case .text(let text): self.value != .json && field.isOptional && text == "None"
        case .json(let json): self.value == .json && field.isOptional && json.text == "null"
        default: false
        }
    }

    // MARK: - Reading

    /// What is wrong with a row's data.
    struct Damage: Error {
        let problem: String
    }

    /// Puts the shown fields of a JSON object, or of one text, into the row.
    func take(
        _ payload: [UInt8], into values: inout [Value], besides stamp: RowStamp
    ) throws(Damage) {
        guard case .json = value else {
            guard let only = shown.first else { return }
            return try take(text: payload, of: only, into: &values, besides: stamp)
        }
        if takePlain(payload, into: &values, besides: stamp) { return }
        guard let json = try? JSONValue(parsing: payload), let members = json.members else {
            throw Damage(problem: "it is no JSON object")
        }
        for field in shown {
            let member = members[field.name]
            if let kept = stamp.values[field.index],
                let own = try? JSONValue(parsing: Self.json(kept)), own == member ?? .null
            {
                values[field.index] = kept
            } else if let value = RowJSON.written(member, of: field.field) {
                values[field.index] = value
            } else {
                throw Damage(problem: "\(field.name) is no \(field.field.type.rawValue)")
            }
        }
    }

    private static func json(_ value: Value) -> [UInt8] {
        var bytes: [UInt8] = []
        RowJSON.append(value, to: &bytes)
        return bytes
    }

    /// Puts the shown fields of a row's own hash into the row. A field that is not there is null.
    func take(
        _ fields: [[UInt8]: [UInt8]], into values: inout [Value], besides stamp: RowStamp
    ) throws(Damage) {
        for field in shown {
            try take(
                text: fields[field.nameBytes], of: field, into: &values, besides: stamp)
        }
    }

    private func take(
        text bytes: [UInt8]?, of shown: Shown, into values: inout [Value], besides stamp: RowStamp
    ) throws(Damage) {
        let field = shown.field
        if let kept = stamp.values[shown.index], let bytes {
            var own: [UInt8] = []
            Self.appendText(kept, to: &own)
            if own == bytes {
                values[shown.index] = kept
                return
            }
        }
        if field.isOptional, bytes == nil || bytes == Self.null {
            values[shown.index] = .null
            return
        }
        guard let bytes, let text = String(validating: bytes, as: UTF8.self),
            let value = Value(written: text, as: field.type)
        else { throw Damage(problem: "\(shown.name) is no \(field.type.rawValue)") }
        values[shown.index] = value
    }
}
