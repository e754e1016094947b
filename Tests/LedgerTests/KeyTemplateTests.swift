import Ledger
import TestSupport
import Testing

@Suite struct KeyTemplateTests {
    @Test func rendersAndReadsBack() throws {
        let template = try KeyTemplate("acc:orders:{account_id}:{symbol}", reserved: ":")
        #expect(template.fields == ["account_id", "symbol"])
        #expect(template.prefix == "acc:orders:")
        let key = template.rendered { $0 == "symbol" ? "BRK.B" : "TRADE_001" }
        #expect(key == "acc:orders:TRADE_001:BRK.B")
        #expect(template.parsed(key) == ["account_id": "TRADE_001", "symbol": "BRK.B"])
        #expect(template.parsed("acc:orders:TRADE_001") == nil)
        #expect(template.parsed("acc:orders:a:b:c") == nil)
        #expect(template.parsed("acc:order:a:b") == nil)
    }

    @Test(arguments: ["", "a:b", "%", "%41", "a%", "漢😀", "e\u{301}", "a\nb", "{x}", " ", "::"])
    func everyTextComesBack(_ text: String) throws {
        let template = try KeyTemplate("k:{a}/{b}.json", reserved: ":/")
        let key = template.rendered { $0 == "a" ? text : "b" + text }
        let found = try #require(template.parsed(key))
        #expect(found["a"].map { $0.utf8.elementsEqual(text.utf8) } == true)
        #expect(found["b"].map { $0.utf8.elementsEqual(("b" + text).utf8) } == true)
    }

    @Test func randomTextsComeBackAndNoTwoShareAKey() throws {
        var generator = SeededGenerator(seed: 7)
        let template = try KeyTemplate("{a}:{b}", reserved: ":")
        let letters = Array("a%:4{}/\u{1}é")
        var keys: [String: [String]] = [:]
        for _ in 0..<20_000 {
            let pair = (0..<2).map { _ in
                String(
                    (0..<Int.random(in: 0...3, using: &generator)).compactMap { _ in
                        letters.randomElement(using: &generator)
                    })
            }
            let key = template.rendered { $0 == "a" ? pair[0] : pair[1] }
            #expect(template.parsed(key) == ["a": pair[0], "b": pair[1]])
            #expect(keys.updateValue(pair, forKey: key) ?? pair == pair)
        }
    }

    /// What stands before the first field ends none, so its letters are nothing special in a value.
    @Test func aTextThatBeginsAsTheTemplateDoesIsWrittenAsItIs() throws {
        for text in ["acc:positions:{a}", "acc:{a}:{b}", "a{a}:{b}", "a{a}"] {
            let template = try KeyTemplate(text, reserved: ":")
            let key = template.rendered { $0 == "a" ? "alpha" : "b:%a" }
            #expect(key.hasPrefix(template.prefix + "alph"), "\(key)")
            var wanted = ["a": "alpha"]
            if template.fields.contains("b") { wanted["b"] = "b:%a" }
            #expect(template.parsed(key) == wanted)
        }
        #expect(
            try KeyTemplate("acc:positions:{a}", reserved: ":").rendered { _ in "alpha" }
                == "acc:positions:alpha")
    }

    @Test(arguments: ["%zz", "%4", "%41", "a%3a", ""])
    func whatIsNotWrittenSoIsNotRead(_ text: String) throws {
        let template = try KeyTemplate("k:{a}", reserved: ":")
        #expect(template.parsed("k:" + text) == nil)
    }

    @Test(
        arguments: [
            ("a{b", "'a{b': a { without its }"), ("{a}{b}", "two fields"),
            ("{}", "without a field"),
            ("{a{b}}", "a { without its }"),
        ])
    func refusesWhatCannotBeRead(_ text: String, _ problem: String) {
        let error = #expect(throws: KeyTemplateError.self) {
            try KeyTemplate(text, reserved: ":")
        }
        #expect(error?.description.contains(problem) == true)
    }
}
