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
    ])
    func refusesWhatItDoesNot(text: String) {
        #expect(parse(text) == nil)
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
        #expect(json[hostile]?.elements == [.object([:])])
    }
}
