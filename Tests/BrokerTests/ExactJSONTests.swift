import ExactJSON
import Ledger
import Testing

@Suite struct ExactJSONTests {
    private func parse(_ text: String) -> JSONValue? {
        try? JSONValue(parsing: Array(text.utf8))
    }

    @Test(arguments: [
        "189.3", "0.1", "1e-3", "12345678901234567890.123456789012345678", "-0.000000000000000001",
        "9007199254740993",
    ])
    func numbersKeepTheirDigits(text: String) throws {
        let json = try #require(parse("{\"p\":\(text)}"))
        #expect(json["p"] == .number(text))
        #expect(json["p"]?.decimal == ExactDecimal(text))
    }

    @Test func readsWhatJSONAllows() throws {
        let json = try #require(
            parse(#" {"a":[1,"x\n\u00e9\ud83d\ude00",true,false,null,{}],"b":{"c":[]}} "#))
        #expect(json["a"]?.elements?[1].text == "x\n\u{e9}\u{1F600}")
        #expect(json["b"]?["c"]?.elements == [])
        #expect(json["missing"] == nil)
    }

    @Test(arguments: [
        "", "{", "[1,]", "{\"a\":1,}", "01", "1.", ".5", "+1", "nul", "\"\\x\"", "\"a", "1 2",
        "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\u{1}\"", "-", "1e", "{1:2}", "\"\\u12\"",
        #"{"a":1,"a":1}"#, #"{"a":1,"\u0061":2}"#, #"[{"a":{"b":1,"c":2,"b":3}}]"#,
    ])
    func refusesWhatItDoesNot(text: String) {
        #expect(parse(text) == nil)
    }

    /// Read with a repaired letter, they would be other data, and two names one.
    @Test(arguments: ["caf\u{1}", "caf\\n\u{1}", "\u{1}\u{1}", "x\u{1}y"])
    func bytesThatAreNotUTF8AreRefused(text: String) throws {
        let damages: [[UInt8]] = [
            [0xE9], [0xC3], [0xFF], [0xFE], [0xC0, 0xAF], [0xED, 0xA0, 0x80],
            [0xF4, 0x90, 0x80, 0x80],
        ]
        for damage in damages {
            let bytes = text.utf8.flatMap { $0 == 1 ? damage : [$0] }
            for whole in [
                Array("\"".utf8) + bytes + Array("\"".utf8),
                Array("{\"".utf8) + bytes + Array("\":1}".utf8),
            ] {
                #expect {
                    try JSONValue(parsing: whole)
                } throws: { ("\($0)").contains("a text is not UTF-8") }
            }
        }
    }

    @Test func namesThatOnlyLookAlikeAreTwoNames() throws {
        let json = try #require(parse("{\"\u{e9}\":1,\"e\u{301}\":2}"))
        #expect(json["\u{e9}"]?.integer == 1)
        #expect(json["e\u{301}"]?.integer == 2)
        #expect(json.members?.keys.count == 2)
        #expect(
            try CanonicalJSON(json).text.utf8.elementsEqual("{\"e\u{301}\":2,\"\u{e9}\":1}".utf8))
        let other = try #require(parse("{\"\u{e9}\":1}"))
        #expect(try other != #require(parse("{\"e\u{301}\":1}")))
    }

    @Test func whatIsWrongIsSaidWithItsPlace() {
        for (text, expected) in [
            (#"{"a":1,"a":2}"#, "the name 'a' stands twice in its object, at byte 12"),
            (String(repeating: "[", count: 80), "nested deeper than 72 levels, at byte 72"),
            (#"{"a":tru}"#, "this is no JSON, at byte 5"),
        ] {
            #expect {
                try JSONValue(parsing: Array(text.utf8))
            } throws: { "\($0)".contains(expected) }
        }
    }

    @Test func deepNestingIsRefusedAndNotFollowed() {
        #expect(parse(String(repeating: "[", count: 100_000)) == nil)
    }

    @Test func whatIsWrittenReadsBack() throws {
        let hostile = "quote \" backslash \\ line \n tab \t é 😀"
        let text = JSONText.object { json in
            json.string("s", hostile)
            json.null("n")
            json.bool("b", true)
            json.number("i", 42)
            json.value(named: hostile, .array([JSONText.object { _ in }]))
        }
        let json = try JSONValue(parsing: text.bytes)
        #expect(json["s"]?.text == hostile)
        #expect(json["i"]?.integer == 42)
        #expect(json[hostile]?.elements == [.object(JSONMembers())])
    }
}
