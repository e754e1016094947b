import Ledger

/// Writes JSON straight into bytes, in the order in which it is told. Decimals and times go out as
/// strings, as the contract has it.
struct JSONWriter {
    private(set) var bytes: [UInt8] = []
    private var needsComma = false

    init(reserving capacity: Int = 512) {
        bytes.reserveCapacity(capacity)
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }

    mutating func object(_ body: (inout JSONWriter) -> Void) {
        separate()
        bytes.append(UInt8(ascii: "{"))
        needsComma = false
        body(&self)
        bytes.append(UInt8(ascii: "}"))
        needsComma = true
    }

    mutating func array<Element>(
        _ elements: some Sequence<Element>, _ body: (inout JSONWriter, Element) -> Void
    ) {
        separate()
        bytes.append(UInt8(ascii: "["))
        needsComma = false
        for element in elements { body(&self, element) }
        bytes.append(UInt8(ascii: "]"))
        needsComma = true
    }

    /// A member's name; its value follows.
    mutating func name(_ name: StaticString) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        name.withUTF8Buffer { bytes.append(contentsOf: $0) }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    mutating func name(_ name: String) {
        separate()
        quoted(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    mutating func null() { literal("null") }
    mutating func value(_ flag: Bool) { literal(flag ? "true" : "false") }
    mutating func value(_ number: Int64) { literal(String(number)) }
    mutating func value(_ number: Int) { literal(String(number)) }

    mutating func value(_ text: String) {
        separate()
        quoted(text)
        needsComma = true
    }

    mutating func value(_ value: Value) {
        switch value {
        case .null: null()
        case .text(let text): self.value(text)
        case .integer(let number): self.value(number)
        case .decimal(let number): self.value(number.description)
        case .timestamp(let time): self.value(time.description)
        case .boolean(let flag): self.value(flag)
        case .json(let json): literal(json.text)
        }
    }

    mutating func member(_ name: StaticString, _ text: String) {
        self.name(name)
        value(text)
    }

    mutating func member(_ name: StaticString, _ text: String?) {
        self.name(name)
        if let text { value(text) } else { null() }
    }

    mutating func member(_ name: StaticString, _ number: ExactDecimal?) {
        member(name, number?.description)
    }

    mutating func member(_ name: StaticString, _ time: Timestamp?) {
        member(name, time?.description)
    }

    mutating func member(_ name: StaticString, _ number: Int) {
        self.name(name)
        value(number)
    }

    mutating func member(_ name: StaticString, _ flag: Bool) {
        self.name(name)
        value(flag)
    }

    /// JSON that is written already.
    mutating func raw(_ json: String) { literal(json) }

    private mutating func literal(_ text: String) {
        separate()
        bytes.append(contentsOf: text.utf8)
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = false
    }

    private mutating func quoted(_ text: String) {
        let plain = text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C }
        if plain {
            bytes.append(UInt8(ascii: "\""))
            bytes.append(contentsOf: text.utf8)
            bytes.append(UInt8(ascii: "\""))
        } else {
            bytes.append(contentsOf: CanonicalJSON.quoted(text).utf8)
        }
    }
}
