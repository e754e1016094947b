import ExactJSON
import Ledger
import Testing

/// Rows as other programs read and write them.
@Suite struct RowJSONTests {
    private static let fields = [
        Field("text", .text), Field("integer", .integer), Field("decimal", .decimal),
        Field("time", .timestamp), Field("flag", .boolean), Field("json", .json),
        Field("nothing", .decimal, optional: true),
    ]

    private func written(_ values: [Value]) -> String {
        var bytes: [UInt8] = []
        RowJSON.append(
            zip(Self.fields, values).map { (field: $0, value: $1) }, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func aRowIsWrittenAndReadBack() throws {
        let values: [Value] = [
            .text("é \"x\"\\\n\u{1}"), .integer(.min),
            .decimal(try #require(ExactDecimal("-0.000000000000000001"))),
            .timestamp(Timestamp(microseconds: 1_000_001)), .boolean(true),
            .json(try CanonicalJSON(parsing: #"{"b":[1,null,"x"],"a":{}}"#)), .null,
        ]
        let text = written(values)
        #expect(
            text == """
                {"text":"é \\"x\\"\\\\\\u000a\\u0001","integer":-9223372036854775808,\
                "decimal":"-0.000000000000000001","time":"1970-01-01T00:00:01.000001Z",\
                "flag":true,"json":{"a":{},"b":[1,null,"x"]},"nothing":null}
                """)
        let read = try JSONValue(parsing: Array(text.utf8))
        for (field, value) in zip(Self.fields, values) {
            #expect(RowJSON.value(read.members?[field.name], of: field) == value, "\(field.name)")
        }
    }

    @Test func numbersAndTextsOfOtherProgramsAreRead() throws {
        func value(_ json: String, _ type: FieldType, optional: Bool = false) throws -> Value? {
            RowJSON.value(
                try JSONValue(parsing: Array(json.utf8)),
                of: Field("f", type, optional: optional))
        }
        #expect(try value("1.50", .decimal) == .decimal(try #require(ExactDecimal("1.5"))))
        #expect(try value("1e2", .decimal) == .decimal(ExactDecimal(100)))
        #expect(try value("\"12\"", .integer) == .integer(12))
        #expect(try value("12.0", .integer) == .integer(12))
        #expect(try value("12.5", .integer) == nil)
        #expect(try value("9223372036854775808", .integer) == nil)
        #expect(try value("1", .boolean) == .boolean(true))
        #expect(
            try value("\"2025-01-02T03:04:05.5\"", .timestamp)
                == Value(plainText: "2025-01-02T03:04:05.500Z", as: .timestamp))
        #expect(
            try value("\"2025-01-02T03:04:05+08:00\"", .timestamp)
                == Value(plainText: "2025-01-01T19:04:05Z", as: .timestamp))
        #expect(try value("null", .text, optional: true) == .null)
        #expect(try value("null", .text) == nil)
        #expect(try value("{}", .text) == nil)
        #expect(try value("\"x\"", .decimal) == nil)
        #expect(try value("1e99", .json) == nil)
    }
}
