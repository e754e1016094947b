import Ledger
import StrictYAML
import Testing

/// Exact messages: people search for them, and they are all the help that there is at three in
/// the morning.
@Suite struct RefusalTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let text: String
        let message: String
        init(_ text: String, _ message: String) {
            self.text = text
            self.message = message
        }
        var testDescription: String { text }
    }

    /// Reads each of the keys by the type that its name says.
    private static func read(_ top: inout YAMLMapping) {
        _ = top.optional("text")?.text()
        _ = top.optional("secret")?.secret()
        _ = top.optional("integer")?.integer(in: 1...10)
        _ = top.optional("decimal")?.decimal(from: .zero)
        _ = top.optional("boolean")?.boolean()
        _ = top.optional("duration")?.duration(from: .seconds(1))
        _ = top.optional("size")?.byteSize(from: 10)
        _ = top.optional("time")?.timestamp()
        _ = top.optional("colour")?.choice(Colour.self)
        _ = top.optional("address")?.hostPort()
        _ = top.optional("url")?.url()
        _ = top.optional("list")?.sequence { $0.integer() }
        _ = top.optional("mapping")?.mapping { item in item.required("needed")?.text() }
    }

    static let values = [
        Case(
            "text: off",
            "7: text: off without quotes is a truth value to some readers of YAML; quote it: \"off\""
        ),
        Case(
            "text: Yes",
            "7: text: Yes without quotes is a truth value to some readers of YAML; quote it: \"Yes\""
        ),
        Case("text:", "1: text is empty; write a value, or remove the key"),
        Case("text: ~", "1: text is empty; write a value, or remove the key"),
        Case("text: [a]", "7: text is a list, not text; write text"),
        Case("text: {a: b}", "7: text is a mapping, not text; write text"),
        Case("text: \"a\\0b\"", "7: text contains a NUL character; remove it"),
        Case(
            "text: ${env:UNSET}",
            "7: the environment variable 'UNSET' is not set; set it before the start"),
        Case(
            "text: ${file:/nowhere}",
            "7: cannot read /nowhere: No such file or directory; create it, or correct the path"),
        Case("text: ${file:}", "7: ${file:} names no file; write ${file:PATH}"),
        Case(
            "text: ${SET}",
            "7: '${SET}' is not understood; write ${env:NAME} or ${file:PATH}, or $${ for a literal ${"
        ),
        Case(
            "text: a${env:SET",
            "7: '${' without its '}'; write ${env:NAME}, or $${ for a literal ${"),
        Case("secret: ''", "9: secret is an empty text; write a value, or remove the key"),
        Case(
            "integer: 1.5", "10: integer: '1.5' is not a whole number; write digits only, as in 10"),
        Case(
            "integer: 010", "10: integer: '010' is not a whole number; write digits only, as in 10"),
        Case(
            "integer: 1_000",
            "10: integer: '1_000' is not a whole number; write digits only, as in 10"),
        Case(
            "integer: 0x10",
            "10: integer: '0x10' is not a whole number; write digits only, as in 10"),
        Case("integer: '5'", "10: integer: \"5\" is text; write the number without quotes"),
        Case("integer: 11", "10: integer: 11 is out of range; write a number from 1 to 10"),
        Case(
            "integer: 99999999999999999999",
            "10: integer: 99999999999999999999 is out of range; write a number from 1 to 10"),
        Case(
            "integer: ${env:SET}",
            "10: integer: '${env:SET}' is not a whole number; write digits only, as in 10"),
        Case(
            "decimal: 1,5",
            "10: decimal: '1,5' is not a decimal number; write at most 38 digits with at most 18 after the point, as in 100.25"
        ),
        Case(
            "decimal: 0.0000000000000000001",
            "10: decimal: '0.0000000000000000001' is not a decimal number; write at most 38 digits with at most 18 after the point, as in 100.25"
        ),
        Case(
            "decimal: .nan",
            "10: decimal: '.nan' is not a decimal number; write at most 38 digits with at most 18 after the point, as in 100.25"
        ),
        Case("decimal: -1", "10: decimal: -1 is too small; write a number from 0 up"),
        Case("boolean: yes", "10: boolean: yes is not a truth value; write true"),
        Case("boolean: Off", "10: boolean: Off is not a truth value; write false"),
        Case("boolean: \"true\"", "10: boolean: \"true\" is not a truth value; write true"),
        Case("boolean: maybe", "10: boolean: maybe is not a truth value; write true or false"),
        Case("duration: 1:30", "11: duration: '1:30' is not a duration; write 90s"),
        Case("duration: 30", "11: duration: '30' is not a duration; add the unit, as in 30s"),
        Case(
            "duration: 1.5h",
            "11: duration: '1.5h' is not a duration; write a number and one of ms, s, m, h, d, as in 30s"
        ),
        Case("duration: 500ms", "11: duration: 500ms is too short; write at least 1s"),
        Case("duration: 99999999d", "11: duration: 99999999d is too long; write at most 36500d"),
        Case(
            "duration: 9999999999999999d",
            "11: duration: 9999999999999999d is too long; write at most 36500d"),
        Case("size: 256", "7: size: '256' is not a size; add the unit, as in 256B"),
        Case(
            "size: 256mb",
            "7: size: '256mb' is not a size; write a number and one of B, KB, MB, GB, TB, KiB, MiB, GiB, TiB, as in 256MB"
        ),
        Case("size: 9B", "7: size: 9B is too small; write at least 10B"),
        Case(
            "size: 9223372036854775807TiB",
            "7: size: 9223372036854775807TiB is too large; write at most 8000000TB"),
        Case(
            "time: 2026-02-30T00:00:00Z",
            "7: time: '2026-02-30T00:00:00Z' is not a time; write RFC 3339, as in 2026-01-31T09:30:00Z"
        ),
        Case(
            "time: 2026-01-31",
            "7: time: '2026-01-31' is not a time; write RFC 3339, as in 2026-01-31T09:30:00Z"),
        Case("colour: gren", "9: colour: 'gren' is not known; write green"),
        Case(
            "colour: violet",
            "9: colour: 'violet' is not known; the words here are: red, green, blue"),
        Case(
            "address: localhost",
            "10: address: 'localhost' is not an address; write host:port with a port from 1 to 65535, as in 127.0.0.1:8080"
        ),
        Case(
            "address: localhost:70000",
            "10: address: 'localhost:70000' is not an address; write host:port with a port from 1 to 65535, as in 127.0.0.1:8080"
        ),
        Case(
            "url: api.alpaca.markets",
            "6: url: 'api.alpaca.markets' is not a URL; write one such as http://host/path"),
        Case(
            "url: ftp://host/",
            "6: url: a URL with 'ftp' cannot be used here; begin it with http:// or https://"),
        Case("list: 5", "7: list is a single value, not a list; write [first, second]"),
        Case(
            "list: [1, b]",
            "11: item 2 of list: 'b' is not a whole number; write digits only, as in 10"),
        Case(
            "mapping: 5",
            "10: mapping is a single value, not a mapping; write 'key: value' under it"),
        Case("mapping: {}", "10: mapping lacks needed; add 'needed: …'"),
        Case("integre: 5", "1: unknown key 'integre' in the document; write integer"),
        Case(
            "mapping: {needed: a, other: b}",
            "22: unknown key 'other' in mapping; the keys here are: needed"),
    ]

    @Test(arguments: values)
    func aBadValueIsNamedWithItsRemedy(_ example: Case) {
        #expect(
            findings(in: example.text, Self.read) == "a.yaml:1:" + example.message)
    }

    static let documents = [
        Case("a: 1\na: 2", "a.yaml:2:1: key 'a' is already written in line 1; keep one of the two"),
        Case("{a: 1, a: 2}", "a.yaml:1:2: key 'a' is written twice here; keep one of the two"),
        Case("a:\n\t b: 1", "a.yaml:2:1: a tab in the indentation; write spaces"),
        Case(
            "text: a\n---\ntext: b",
            "a.yaml:2:1: a second document begins here; keep one document in a file"),
        Case(
            "a: &x 1\nb: *x",
            "a.yaml:1:4: YAML anchors and aliases (&x) are refused; write the value out at every place (quote a text that begins with & or *)"
        ),
        Case(
            "a: *x",
            "a.yaml:1:4: YAML aliases (*name) are refused; write the value out (quote a text that begins with *)"
        ),
        Case(
            "a: !!int 5",
            "a.yaml:1:4: the YAML tag 'tag:yaml.org,2002:int' is refused; remove it: the key decides the type"
        ),
        Case(
            "<<: {a: 1}",
            "a.yaml:1:1: merge keys (<<) are refused; write the keys out at every place"),
        Case("? [a, b]\n: 1", "a.yaml:1:3: a key is a list; write a name as the key"),
        Case(
            "a: b: c",
            "a.yaml:1:5: not valid YAML: mapping values are not allowed in this context; quote a text that contains ': ', or correct the indentation"
        ),
        Case(
            "a: \"b", "a.yaml:1:6: not valid YAML: found unexpected end of stream; close the quote"),
        Case(
            "a: [1, 2",
            "a.yaml:2:1: not valid YAML: did not find expected ',' or ']'; close the bracket, and quote a ${…} that stands within brackets"
        ),
        Case(
            "a: {b: ${env:SET}}",
            "a.yaml:1:9: not valid YAML: did not find expected ',' or '}'; close the bracket, and quote a ${…} that stands within brackets"
        ),
        Case(
            "a: 1\n b: 2",
            "a.yaml:2:3: not valid YAML: mapping values are not allowed in this context; quote a text that contains ': ', or correct the indentation"
        ),
        Case(
            "a: @b",
            "a.yaml:1:4: not valid YAML: found character that cannot start any token; quote a text that begins with this character"
        ),
        Case(
            "a: \u{1}",
            "a.yaml:1:4: not valid YAML: control characters are not allowed; remove the character"),
        Case("", "a.yaml:1:1: the document is empty, not a mapping; write 'key: value' under it"),
        Case(
            "[1]", "a.yaml:1:1: the document is a list, not a mapping; write 'key: value' under it"),
        Case(
            "just words",
            "a.yaml:1:1: the document is a single value, not a mapping; write 'key: value' under it"
        ),
    ]

    @Test(arguments: documents)
    func aBadDocumentIsNamedWithItsPlace(_ example: Case) {
        #expect(findings(in: example.text, Self.read) == example.message)
    }

    @Test func everyMistakeIsListedAtOnce() {
        let text = "integer: x\nboolean: on\nduration: 5\nnonsense: 1\n"
        #expect(
            findings(in: text, Self.read) == """
                a.yaml:1:10: integer: 'x' is not a whole number; write digits only, as in 10
                a.yaml:2:10: boolean: on is not a truth value; write true
                a.yaml:3:11: duration: '5' is not a duration; add the unit, as in 5s
                a.yaml:4:1: unknown key 'nonsense' in the document; the keys here are: text, secret, \
                decimal, size, time, colour, address, url, list, mapping, integer, boolean, duration
                """)
    }

    @Test func anErrorPrintsItsFindingsInTheOrderOfTheLines() {
        let place = { Place(file: $0, line: $1, column: 1) }
        let error = StrictYAMLError(findings: [
            Finding(severity: .error, place: place("b", 9), problem: "p", remedy: "r"),
            Finding(severity: .warning, place: place("a", 1), problem: "p", remedy: "r"),
            Finding(severity: .error, place: place("b", 2), problem: "p", remedy: "r"),
        ])
        #expect(error.description == "b:2:1: p; r\nb:9:1: p; r\na:1:1: warning: p; r")
    }

    @Test func nestingIsLimited() {
        let deep = String(repeating: "[", count: 70) + String(repeating: "]", count: 70)
        let message = findings(in: "list: " + deep) { top in
            _ = top.optional("list")
        }
        #expect(message.hasPrefix("a.yaml:1:"))
        #expect(message.hasSuffix("values are nested deeper than 64 levels; write them flatter"))
        let abyss = String(repeating: "[", count: 100_000)
        #expect(findings(in: abyss, Self.read).hasPrefix("a.yaml:1:"))
    }

    @Test func sizeIsLimited() {
        let text = "text: " + String(repeating: "a", count: YAMLDocument.byteCountMax)
        #expect(
            findings(in: text, Self.read)
                == "a.yaml:1:1: the file has 16777222 bytes, more than 16777216; "
                + "split it into several files")
    }

    @Test func aBombOfAliasesIsRefusedAtOnce() {
        var text = "a0: &a0 [x, x]\n"
        for level in 1...40 {
            text += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n"
            text += "? {k: *a\(level)}\n: 1\n"
        }
        let started = ContinuousClock.now
        #expect(findings(in: text, Self.read).contains("YAML aliases (*name) are refused"))
        #expect(ContinuousClock.now - started < .seconds(30))
    }

    @Test func anExpandedSecretDoesNotGetIntoAMessage() throws {
        let message = findings(in: "integer: ${env:SET}\ncolour: ${env:SET}", Self.read)
        #expect(!message.contains("'set'"))
    }
}
