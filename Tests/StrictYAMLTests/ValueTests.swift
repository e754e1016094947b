import Foundation
import Ledger
import StrictYAML
import TestSupport
import Testing

@Suite struct ValueTests {
    @Test func textIsTakenAsItStands() throws {
        #expect(try value("\"off\"") { $0.text() } == "off")
        #expect(try value("007") { $0.text() } == "007")
        #expect(try value("R & D * x") { $0.text() } == "R & D * x")
        #expect(try value("enc:v1") { $0.secret() }?.reveal() == "enc:v1")
        #expect(try value("纽约") { $0.text() } == "纽约")
    }

    @Test func numbersAreExact() throws {
        #expect(try value("-12") { $0.integer() } == -12)
        #expect(try value("9223372036854775807") { $0.integer() } == Int.max)
        #expect(try value("50000.00") { $0.decimal() } == ExactDecimal(50_000))
        #expect(
            try value("\"0.100000000000000001\"") { $0.decimal() }?.description
                == "0.100000000000000001")
        #expect(try value("true") { $0.boolean() } == true)
        #expect(try value("false") { $0.boolean() } == false)
    }

    @Test(arguments: [
        ("500ms", Duration.milliseconds(500)), ("30s", .seconds(30)), ("5m", .seconds(300)),
        ("24h", .seconds(86_400)), ("30d", .seconds(2_592_000)),
    ])
    func durations(_ text: String, _ duration: Duration) throws {
        #expect(try value(text) { $0.duration() } == duration)
        let words = YAMLValue.words(for: duration)
        #expect(try value(words) { $0.duration() } == duration)
    }

    @Test(arguments: [
        ("1B", 1), ("256MB", 256_000_000), ("1KiB", 1_024), ("2GiB", 2 << 30),
        ("3TB", 3_000_000_000_000),
    ])
    func sizes(_ text: String, _ bytes: Int) throws {
        #expect(try value(text) { $0.byteSize() } == bytes)
    }

    @Test(arguments: ["127.0.0.1:8080", "localhost:1", "[::1]:9464", "desk-1.example_x:65535"])
    func addresses(_ text: String) throws {
        #expect(try value("\"\(text)\"") { $0.hostPort() }?.description == text)
    }

    @Test(arguments: [":80", "[]:80", "a b:80", "::1:80", "h:080", "h:+8", "h:0", "[x]:80"])
    func brokenAddresses(_ text: String) {
        #expect(HostPort(text) == nil)
    }

    @Test func timesKeepTheirInstant() throws {
        let utc = try value("2024-01-15T00:00:00Z") { $0.timestamp() }
        let shanghai = try value("\"2024-01-15T08:00:00+08:00\"") { $0.timestamp() }
        #expect(utc == shanghai)
        #expect(utc != nil)
    }

    @Test func referencesAreExpandedAnywhereInAValue() throws {
        let directory = try TemporaryDirectory()
        try "key-in-file\n".write(
            toFile: directory.path("a.key"), atomically: true, encoding: .utf8)
        let read = { (text: String) in
            try value(text, folder: directory.path) { $0.text() }
        }
        #expect(try read("${file:a.key}") == "key-in-file")
        #expect(try read("${file:./a.key}!") == "key-in-file!")
        #expect(try read("\"<${env:SET}-${env:SET}>\"") == "<set-set>")
        #expect(try read("$${env:SET}") == "${env:SET}")
        #expect(try read("a $${x} ${env:SET}") == "a ${x} set")
        #expect(try read("$5") == "$5")
    }

    @Test func aFileMayBeginWithAByteOrderMark() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("bom.yaml")
        try Data([0xEF, 0xBB, 0xBF] + Array("a: 1\n".utf8)).write(to: URL(filePath: path))
        let document = try YAMLDocument(path: path)
        let findings = Findings()
        let expansion = Expansion(environment: { _ in nil }, folder: "")
        let number = document.root(findings: findings, expansion: expansion).mapping { top in
            top.required("a")?.integer()
        }
        #expect(number == 1)
    }

    @Test func whatIsNoTextFileIsRefused() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("latin.yaml")
        try Data([0x61, 0x3A, 0x20, 0xE9]).write(to: URL(filePath: path))
        #expect {
            try YAMLDocument(path: path, name: "latin.yaml")
        } throws: {
            "\($0)" == "latin.yaml:1:1: \(path) is not UTF-8 text; save it as UTF-8"
        }
        #expect {
            try YAMLDocument(path: directory.path, name: "d")
        } throws: {
            "\($0)" == "d:1:1: \(directory.path) is not a file; name a file"
        }
    }

    @Test func starsInCommentsAndQuotesAreNoAliases() throws {
        let comment = String(repeating: "# - *x, *y\n", count: 20)
        let list = "[" + Array(repeating: "\"*x\"", count: 20).joined(separator: ", ") + "]"
        let items = try value("\(list)\n\(comment)") { $0.sequence { $0.text() } }
        #expect(items?.count == 20)
    }

    @Test func aSecretShowsItselfNowhere() {
        struct Holder { let secret = Secret("hunter2") }
        var dumped = ""
        dump(Holder(), to: &dumped)
        let shown = [
            "\(Secret("hunter2"))", String(reflecting: Secret("hunter2")), dumped, "\(Holder())",
        ]
        #expect(shown.allSatisfy { !$0.contains("hunter2") })
        #expect("\(Secret("hunter2"))" == "***")
        #expect(Secret("hunter2").reveal() == "hunter2")
    }

    @Test func theNearestNameForgivesSlips() {
        let names = ["max_connections", "idle_timeout", "priority"]
        #expect(NearestName.nearest(to: "max_conections", in: names) == "max_connections")
        #expect(NearestName.nearest(to: "prioritiy", in: names) == "priority")
        #expect(NearestName.nearest(to: "pirority", in: names) == "priority")
        #expect(NearestName.nearest(to: "zebra", in: names) == nil)
        #expect(NearestName.nearest(to: "", in: names) == nil)
    }
}
