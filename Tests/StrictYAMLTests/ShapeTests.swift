import Ledger
import StrictYAML
import Testing

/// What a reader accepts is recorded from the reader itself.
@Suite struct ShapeTests {
    private let shape = YAMLShape.of { root in
        _ = root.mapping { top -> Void? in
            _ = top.required("name")?.text()
            _ = top.optional("port")?.integer(in: 1...9)
            _ = top.present(ofAlternatives: ["http", "tcp"])
            _ = top.optional("http")?.url(schemes: ["https"])
            _ = top.optional("tcp")?.hostPort()
            _ = top.optional("free")?.margin()
            _ = top.optional("items")?.sequence { item in
                item.mapping { $0.optional("word")?.choice(Colour.self) }
            }
            _ = top.optional("people")?.names { _, _, value in
                value.mapping { $0.optional("age")?.duration() }
            }
            top.refuse(key: "later", "it is refused", "remove it")
            return ()
        }
    }

    @Test func everyKeyThatIsAskedForIsRecorded() {
        #expect(
            shape.paths == [
                "name", "port", "http", "tcp", "free", "items", "items[].word", "people",
                "people.*.age",
            ])
        #expect(shape.keys.filter(\.isRequired).map(\.name) == ["name"])
        #expect(shape.alternatives == [["http", "tcp"]])
    }

    @Test func theKindsAreThoseOfTheReaders() throws {
        let kinds = Dictionary(
            uniqueKeysWithValues: shape.keys.map { ($0.name, "\($0.shape.kinds)") })
        #expect(kinds["port"]?.contains("integer(ClosedRange(1...9))") == true)
        #expect(kinds["http"]?.contains("https") == true)
        #expect(kinds["free"]?.contains("margin") == true)
    }

    // MARK: Names or items

    private static func readNames(_ value: YAMLValue) -> [String]? {
        value.names(
            orItems: { $0.text() }, { name, _, value in value.text().map { "\(name)=\($0)" } })
    }

    @Test func aListOrAMappingIsTakenAndRecordedAsBoth() throws {
        #expect(try value("[a, b]", Self.readNames) == ["a", "b"])
        #expect(try value("{a: b, c: d}", Self.readNames) == ["a=b", "c=d"])
        let said = findings(in: "free: a") { _ = $0.optional("free").flatMap(Self.readNames) }
        #expect(said == "a.yaml:1:7: free is a single value, not a list; write [first, second]")
        let kinds = YAMLShape.of { _ = Self.readNames($0) }.kinds.map { kind in
            switch kind {
            case .list: "list"
            case .names: "names"
            default: "other"
            }
        }
        #expect(kinds == ["list", "names"])
    }

    @Test func aURLThatMayHoldAPasswordIsASecret() throws {
        let url = try value("\"a+b://u:p@h,i/x\"") { $0.secretURL(schemes: ["a+b"]) }
        #expect(url == Secret("a+b://u:p@h,i/x"))
        let shape = YAMLShape.of { _ = $0.secretURL(schemes: ["a+b"]) }
        #expect("\(shape.kinds)".contains("a+b"))
    }

    // MARK: Margins

    @Test(arguments: [
        ("10%", Margin.percent(ExactDecimal(10))), ("5GB", .bytes(5_000_000_000)),
        ("1MiB", .bytes(1_048_576)), ("\"${env:MARGIN}\"", .percent(ExactDecimal(10))),
    ])
    func aMarginIsAShareOrASize(_ text: String, _ margin: Margin) throws {
        let read = try value(text.replacing("${env:MARGIN}", with: "10%")) { $0.margin() }
        #expect(read == margin)
    }

    @Test(arguments: ["0%", "100%", "-1%", "10", "%", "0GB", "x%", "99999999999TB"])
    func whatIsNoMarginIsRefused(_ text: String) {
        let said = findings(in: "free: \"\(text)\"") { _ = $0.optional("free")?.margin() }
        #expect(
            said
                == "a.yaml:1:7: free: '\(text)' is neither a share nor a size; write a share above 0% "
                + "and below 100%, as in 10%, or a size, as in 5GB")
    }

    @Test func marginsAndSizesAreSaidAsTheyAreWritten() {
        #expect("\(Margin.percent(ExactDecimal(10)))" == "10%")
        #expect("\(Margin.bytes(64_000_000))" == "64MB")
        #expect(YAMLValue.words(forBytes: 256_000_000) == "256MB")
        #expect(YAMLValue.words(forBytes: 1_048_576) == "1048576B")
        #expect(YAMLValue.words(forBytes: 0) == "0B")
    }

    // MARK: Places

    @Test func everyWrittenKeyHasItsPlace() throws {
        let document = try YAMLDocument(
            text: "a: 1\nb:\n  c: [x, {name: n, d: 2}]\n", file: "a.yaml")
        let places = document.places
        #expect(
            places.keys.sorted() == [
                "a", "b", "b.c", "b.c[1]", "b.c[n]", "b.c[n].d", "b.c[n].name",
            ])
        #expect(
            places["b.c[n].d"]?.description == "a.yaml:2:23"
                || places["b.c[n].d"]?.description == "a.yaml:3:23")
    }

    // MARK: Decryption

    @Test func aValueThatIsEncryptedIsDecryptedWhereverItStands() throws {
        let findings = Findings()
        let expansion = Expansion(
            environment: { $0 == "E" ? "enc:v1:7" : nil }, folder: "",
            decrypt: { text throws(DecryptionFailure) in
                guard text != "enc:v1:bad" else {
                    throw DecryptionFailure(problem: "is bad", remedy: "do better")
                }
                return String(text.dropFirst(7))
            })
        let document = try YAMLDocument(
            text: "a: enc:v1:5\nb: enc:v1:x\nc: enc:v1:bad\nd: ${env:E}\ne: x enc:v1:5\n",
            file: "a.yaml")
        let read = document.root(findings: findings, expansion: expansion).mapping { top in
            [
                top.required("a")?.integer().map(String.init), top.required("b")?.text(),
                top.required("c")?.text(), top.required("d")?.integer().map(String.init),
                top.required("e")?.text(),
            ]
        }
        #expect(read == ["5", "x", nil, "7", "x enc:v1:5"])
        #expect(findings.all.map(\.description) == ["a.yaml:3:4: c is bad; do better"])
    }

    @Test func withoutAKeyAnEncryptedValueIsRefused() {
        #expect(
            findings(in: "a: enc:v1:AAAA") { _ = $0.optional("a")?.text() }
                == "a.yaml:1:4: a is encrypted, and there is no key to decrypt it; name a key file")
    }
}
