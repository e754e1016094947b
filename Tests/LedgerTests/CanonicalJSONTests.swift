import Ledger
import Testing

@Suite struct CanonicalJSONTests {
    @Test(arguments: [
        (#" { "b" : 1 , "a" : [ true , false , null ] } "#, #"{"a":[true,false,null],"b":1}"#),
        (#"{"é":1,"z":2,"":3,"Z":4}"#, #"{"":3,"Z":4,"z":2,"é":1}"#),
        ("1.500", "1.5"), ("-0", "0"), ("1e2", "100"), ("-1.25E-2", "-0.0125"), ("0.0", "0"),
        ("[]", "[]"), ("{}", "{}"), (#"[ {} , [ ] ]"#, "[{},[]]"),
        (#""A\/\b\f\n\r\t\"\\""#, #""A/\u0008\u000c\n\r\t\"\\""#),
        (#""\uD83D\uDE00\u00e9""#, "\"😀é\""), (#""""#, #""""#),
        (#"{"a":{"d":1,"c":2},"a2":0}"#, #"{"a":{"c":2,"d":1},"a2":0}"#),
    ]) func oneMeaningHasOneSpelling(_ text: String, _ canonical: String) throws {
        let json = try CanonicalJSON(parsing: text)
        #expect(json.text == canonical)
        #expect(try CanonicalJSON(parsing: canonical) == json)
    }

    @Test(arguments: [
        "", " ", "{", "[", "[1", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "nul",
        "truex",
        "1 2", "01", "+1", "1.", ".5", "1.e5", "-", "1e", "--1", "1-2", "NaN", "Infinity", "'a'",
        "\"a", "\"\\x\"", "\"\\u12\"", "\"\\u+041\"", "\"\\u-041\"", "\"\\u 041\"", "\"\\ud800\"",
        "\"\\ud800x\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\u0000\"", "\"\u{0}\"", "\"\n\"",
        #"{"a":1,"a":2}"#, #"{"a":1,"\u0061":2}"#, "[1]]", "1e400",
        "123456789012345678901234567890123456789",
    ]) func whatIsNoJSONIsRefused(_ text: String) {
        #expect(throws: JSONError.self) { try CanonicalJSON(parsing: text) }
    }

    @Test func sixtyFourLevelsAreTheDeepest() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(try CanonicalJSON(parsing: nested(64)).text == nested(64))
        #expect(throws: JSONError.self) { try CanonicalJSON(parsing: nested(65)) }
        #expect(throws: JSONError.self) {
            try CanonicalJSON(parsing: String(repeating: "[", count: 1_000_000))
        }
    }

    @Test(arguments: [
        ("1", 0), (#""[{""#, 0), ("[]", 1), (#"{"a":[1,{"b":[]}],"c":[]}"#, 4),
        (#"["\"[[",[]]"#, 2),
        (#"{"[":"{\\","a":[1]}"#, 2), (#"[[],[[]],[]]"#, 3),
    ]) func theDepthIsThatOfArraysAndObjects(_ text: String, _ depth: Int) throws {
        #expect(try CanonicalJSON(parsing: text).depth == depth)
    }

    /// Swift's strings are equal when they look alike; JSON's keys are equal when their code points are.
    @Test func keysThatOnlyLookAlikeAreTwoKeys() throws {
        let json = try CanonicalJSON(parsing: #"{"\u00e9":1,"e\u0301":2}"#)
        #expect(Array(json.text.utf8) == Array("{\"e\u{301}\":2,\"\u{e9}\":1}".utf8))
        #expect(
            try CanonicalJSON(parsing: #""\u00e9""#) != CanonicalJSON(parsing: #""e\u0301""#))
    }

}
