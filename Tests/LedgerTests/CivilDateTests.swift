import Ledger
import Testing

@Suite struct CivilDateTests {
    @Test func aDateIsReadAndWrittenAsItStands() throws {
        for (text, days, weekday) in [
            ("1970-01-01", Int64(0), 4), ("1969-12-31", -1, 3), ("2000-02-29", 11_016, 2),
            ("2026-11-21", 20_778, 6), ("2026-11-22", 20_779, 0), ("0000-01-01", -719_528, 6),
        ] {
            let date = try #require(CivilDate(text))
            #expect(date.daysSince1970 == days && date.weekday == weekday, "\(text)")
            #expect(date.description == text)
            let (year, month, day) = date.components
            #expect(CivilDate(year: year, month: month, day: day) == date)
        }
    }

    @Test(arguments: [
        "", "2026-11-31", "2026-13-01", "2026-2-01", "2025-02-29", "20261121", "2026-11-21 ",
        "2026/11/21", "+026-11-21",
    ])
    func anythingElseIsNoDate(_ text: String) {
        #expect(CivilDate(text) == nil)
    }

    @Test func aSecondBeforeMidnightIsTheDayBefore() {
        #expect(CivilDate(ofSeconds: 86_399).description == "1970-01-01")
        #expect(CivilDate(ofSeconds: 86_400).description == "1970-01-02")
        #expect(CivilDate(ofSeconds: -1).description == "1969-12-31")
        #expect(CivilDate(ofSeconds: -1) < CivilDate(ofSeconds: 0))
        #expect(CivilDate(year: 2026, month: 2, day: 30) == nil)
    }
}
