import Ledger
import Testing

@testable import RedisStore

/// The quick way of reading a row gives what the parser gives, or leaves it to the parser.
struct FlatObjectTests {
    private static let schema = Schema(
        dataset: "flat", kind: .declared, key: [Field("id", .text)],
        fields: [
            Field("a", .text), Field("n", .integer), Field("d", .decimal, optional: true),
            Field("t", .timestamp, optional: true), Field("b", .boolean),
        ])

    private func coding() throws -> RowCoding {
        try RedisLayout(Self.schema, key: "f", field: "{id}").coding
    }

    private func read(_ json: String, plainly: Bool = false) throws -> [Value]? {
        var values = [Value](repeating: .null, count: 6)
        let coding = try coding()
        if plainly {
            return coding.takePlain(Array(json.utf8), into: &values, besides: RowStamp())
                ? values : nil
        }
        do {
            try coding.take(Array(json.utf8), into: &values, besides: RowStamp())
            return values
        } catch {
            return nil
        }
    }

    @Test(arguments: [
        #"{"a":"é '","n":5,"d":"1.50","t":"2023-11-14T22:13:20Z","b":true}"#,
        #"{"a": "", "n": -9223372036854775808, "d": null, "t": null, "b": false}"#,
        #"{"b":"1","t":"2023-11-14T22:13:20.5+01:00","d":"-0.000000000000000001","n":"7","a":"x"}"#,
        "{\n\"a\":\"null\",\n\"n\":0,\"d\":\"99999999999999999999999999999999999999\",\"t\":null,\"b\":\"0\"}\n",
    ]) func aPlainObjectGivesWhatTheParserGives(_ json: String) throws {
        let values = try #require(try read(json, plainly: true))
        // A name with an escape sends it to the parser.
        let open = json.replacingOccurrence(of: "}", with: #","\u0078":1}"#)
        #expect(try read(open, plainly: true) == nil)
        #expect(try read(open) == values)
    }

    @Test(arguments: [
        #"{"a":"x","n":05,"d":null,"t":null,"b":true}"#,
        #"{"a":"x","n":-0,"d":null,"t":null,"b":true}"#,
        #"{"a":"x","n":5.0,"d":null,"t":null,"b":true}"#,
        #"{"a":"x","n":5,"n":5,"d":null,"t":null,"b":true}"#,
        #"{"a":"x","n":5,"d":null,"t":null,"b":true}x"#,
        #"{"a":"x","n":5,"d":null,"t":null,"b":true"#,
        #"{"a":"x","n":5,"d":null,"t":null,"b":true,}"#,
        #"{"a":"x","n":5,"d":null,"t":null,"b":true,"c":1}"#,
        #"{"a":"x","n":5,"b":true}"#, #"{"a":"\u0041","n":5,"d":null,"t":null,"b":true}"#,
        #"{"a":["x"],"n":5,"d":null,"t":null,"b":true}"#,
        #"{"a":null,"n":5,"d":null,"t":null,"b":true}"#,
        #"{"a":"x","n":9223372036854775808,"d":null,"t":null,"b":true}"#,
        #"{"a":"x","n":5,"d":1.5,"t":null,"b":true}"#, "{", "", "[]", "{}", "null",
    ]) func anythingElseIsLeftToTheParser(_ json: String) throws {
        #expect(try read(json, plainly: true) == nil)
    }

    @Test func whatTheParserRefusesIsRefused() throws {
        for json in [
            #"{"a":"x","n":05,"d":null,"t":null,"b":true}"#,
            #"{"a":"x","n":5,"n":5,"d":null,"t":null,"b":true}"#,
            #"{"a":"x","n":5,"d":null,"t":null,"b":true}x"#,
        ] {
            #expect(try read(json) == nil)
        }
        #expect(try read(#"{"a":"x","n":5,"b":true}"#) != nil)
    }
}

extension String {
    /// Of the last one.
    fileprivate func replacingOccurrence(of text: Character, with other: String) -> String {
        guard let place = lastIndex(of: text) else { return self }
        return String(self[..<place]) + other + String(self[index(after: place)...])
    }
}
