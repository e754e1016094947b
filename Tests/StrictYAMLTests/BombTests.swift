import StrictYAML
import Testing

/// Small files that are meant to become large ones, and large ones that are meant to take long.
@Suite struct BombTests {
    private func refusal(_ text: String) -> String {
        findings(in: text) { _ = $0.optional("a")?.text() }
    }

    @Test func aliasesAreRefusedBeforeTheyAreFollowed() {
        // Nine levels of nine: a billion values, were they carried out.
        var text = "a: &a [x, x, x, x, x, x, x, x, x]\n"
        for (name, last) in zip("bcdefghi", "abcdefgh") {
            text +=
                "\(name): &\(name) ["
                + Array(repeating: "*\(last)", count: 9)
                .joined(separator: ", ") + "]\n"
        }
        let started = ContinuousClock.now
        #expect(refusal(text).hasPrefix("a.yaml:3:"))
        #expect(refusal(text).contains("YAML aliases (*name) are refused"))
        #expect(ContinuousClock.now - started < .seconds(2))
    }

    @Test func mergeKeysAreRefused() {
        #expect(refusal("b: &b {c: 1}\na:\n  <<: *b\n").contains("are refused"))
    }

    @Test(arguments: ["[", "{a: ", "- ", "? "])
    func depthIsRefused(_ opening: String) {
        let started = ContinuousClock.now
        #expect(refusal("b: " + String(repeating: opening, count: 20_000)).hasPrefix("a.yaml:1:"))
        #expect(ContinuousClock.now - started < .seconds(10))
    }

    @Test func moreValuesThanAnyConfigurationHasAreRefused() {
        let text = "a: [" + String(repeating: "1,", count: YAMLDocument.separatorCountMax) + "1]"
        #expect(
            refusal(text)
                == "a.yaml:1:1: the file has more than 2000000 line breaks, colons and commas; "
                + "split it into several files")
    }

    @Test func manyUnknownKeysAreCutShort() {
        let text = (0..<20_000).map { "key\($0): 1" }.joined(separator: "\n")
        let started = ContinuousClock.now
        let lines = refusal(text).split(separator: "\n")
        #expect(lines.count == Findings.countMax + 1)
        #expect(
            lines.last
                == "a.yaml:1001:1: there is more than these 1000 findings; correct them and look again"
        )
        #expect(lines[100] == "a.yaml:101:1: unknown key 'key100' in the document; remove it")
        #expect(ContinuousClock.now - started < .seconds(20))
    }

    @Test func warningsTooManyToShowAreAnError() {
        let findings = Findings()
        for line in 1...1_001 {
            findings.warning(Place(file: "a", line: line, column: 1), "p", "r")
        }
        #expect(findings.hasErrors)
    }
}
