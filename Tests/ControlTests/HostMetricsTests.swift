import CoreMetrics
import Foundation
import Synchronization
import Testing

@testable import Control

/// What the kernel writes, and what opsd reads in it.
@Suite struct HostMetricsTests {
    @Test func processorTimesAreSecondsByMode() {
        let text = """
            cpu  281958 1849 136046 460681 6149 0 749 340 77 5
            cpu0 140000 900 68000 230000 3000 0 400 170 0 0
            btime 1700000000
            """
        let times = ProcessorTimes.parse(text, ticksPerSecond: 100)
        #expect(times.map(\.mode) == ProcessorTimes.modes)
        #expect(
            times.map(\.seconds)
                == [2819.58, 18.49, 1360.46, 4606.81, 61.49, 0, 7.49, 3.4])
        // An old kernel has fewer of them.
        #expect(
            ProcessorTimes.parse("cpu  1 2 3 4\n", ticksPerSecond: 1).map(\.mode)
                == ["user", "nice", "system", "idle"])
        #expect(ProcessorTimes.parse("cpu0 1 2 3 4\n", ticksPerSecond: 1).isEmpty)
        #expect(ProcessorTimes.parse("", ticksPerSecond: 1).isEmpty)
    }

    @Test func loadHasThreeWindows() {
        let load = LoadAverages.parse("9.31 4.54 2.46 3/512 14368\n")
        #expect(load.map(\.window) == ["1m", "5m", "15m"])
        #expect(load.map(\.load) == [9.31, 4.54, 2.46])
        #expect(LoadAverages.parse("").isEmpty)
    }

    @Test func memoryIsInBytes() {
        let memory = MemoryInformation.parse(
            "MemTotal:       24684084 kB\nMemAvailable:   23976902 kB\nHugePages_Total:       3\n"
                + "Odd: x kB\nHuge: 18446744073709551615 kB\n")
        #expect(
            memory == [
                "MemTotal": 25_276_502_016, "MemAvailable": 24_552_347_648, "HugePages_Total": 3,
            ])
    }

    @Test func disksCountSectorsOf512BytesAndPartitionsAreLeftOut() {
        let text = """
               8       0 sda 1000 0 200 5 2000 0 400 9 0 5 14 0 0 0 0 0 0
               8       1 sda1 900 0 190 5 1900 0 390 9 0 5 14
             254       0 vda 1 2 3
            """
        #expect(
            DiskTraffic.parse(text, devices: ["sda", "vda"]) == [
                DiskTraffic(device: "sda", readBytes: 102_400, writtenBytes: 204_800)
            ])
        #expect(DiskTraffic.parse(text, devices: nil).map(\.device) == ["sda", "sda1"])
    }

    @Test func networkBytesAreReadAlsoWithoutABlankAfterTheColon() {
        let text = """
            Inter-|   Receive                                                |  Transmit
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
                lo: 7430135   22225    0    0    0     0          0         0  7430136   22225    0    0    0     0       0          0
              eth0:123   4    0    0    0     0          0         0  456   7    0    0    0     0       0          0
            eth0:1: 5 4 0 0 0 0 0 0 6 7 0 0 0 0 0 0
            """
        #expect(
            NetworkTraffic.parse(text) == [
                NetworkTraffic(interface: "lo", receivedBytes: 7_430_135, sentBytes: 7_430_136),
                NetworkTraffic(interface: "eth0", receivedBytes: 123, sentBytes: 456),
                NetworkTraffic(interface: "eth0:1", receivedBytes: 5, sentBytes: 6),
            ])
    }

    @Test func mountsAreThoseOfOwnDisksAndTheOneOfTheData() {
        let text = """
            proc /proc proc rw 0 0
            /dev/vda / ext4 rw 0 0
            /dev/vdb /data\\040disk xfs rw 0 0
            /dev/vdb /bind xfs rw 0 0
            server:/shared /shared nfs rw 0 0
            tmpfs /scratch tmpfs rw 0 0
            overlay /var/lib/containers/1 overlay rw 0 0
            """
        let mounts = Mount.parse(text)
        #expect(mounts[2].path == "/data disk")
        func shown(_ path: String) -> [String] {
            Mount.worthShowing(mounts, holding: path).map(\.path)
        }
        #expect(shown("/srv/data") == ["/", "/data disk"])
        #expect(shown("/scratch/data") == ["/scratch", "/", "/data disk"])
        #expect(shown("/scratchpad") == ["/", "/data disk"])
        #expect(shown("/shared/lin/data") == ["/shared", "/", "/data disk"])
        #expect(
            Mount.worthShowing(Mount.parse("overlay / overlay rw 0 0"), holding: "/data")
                .map(\.path) == ["/"])
        #expect(Mount.worthShowing([], holding: "/data").isEmpty)
    }

    @Test func thisMachineIsMeasured() async {
        let host = HostMetrics(holding: FileManager.default.temporaryDirectory.path)
        let registry = MetricsRegistry()
        registry.addCollector(host.collect)
        #expect(!RegistryTests.text(registry).contains("opsd_host_"))
        await host.refresh(within: .seconds(20))
        let text = RegistryTests.text(registry)
        for name in [
            #"opsd_host_cpu_seconds_total{mode="user"} "#, #"opsd_host_load{window="1m"} "#,
            "opsd_host_memory_total_bytes ", "opsd_host_memory_available_bytes ",
            "opsd_host_disk_size_bytes{", "opsd_host_disk_free_bytes{",
            "opsd_host_network_received_bytes_total{",
        ] {
            #expect(text.contains("\n" + name), "\(name)")
        }
    }

    @Test func mergesCountWhatTheyLeaveOut() {
        let registry = MetricsRegistry(descriptions: MergeMetrics.descriptions)
        let merges = MergeMetrics(factory: registry)
        let texts = [
            "# TYPE a gauge\na 1\n", "# TYPE a gauge\na 2\n", "a{ 1\n", "# TYPE a counter\na 3\n",
        ]
        let output = ExpositionMerger.merge(texts.map { Array($0.utf8) })
        merges.record(output, expectedDuplicates: 0)
        merges.record(output, expectedDuplicates: 5)
        let text = RegistryTests.text(registry)
        #expect(text.contains(#"opsd_metrics_merge_dropped_total{reason="duplicate"} 1"#))
        #expect(text.contains(#"opsd_metrics_merge_dropped_total{reason="malformed"} 2"#))
        #expect(text.contains(#"opsd_metrics_merge_dropped_total{reason="conflicting"} 2"#))
    }

    @Test func aMetricWhoseSeriesAreDroppedIsReportedOnce() {
        let reported = Mutex<[String]>([])
        let registry = MetricsRegistry(
            seriesPerFamilyMax: 2,
            onFirstDrop: { metric in reported.withLock { $0.append(metric) } })
        registry.addCollector { sink in
            for index in 0..<4 { sink.gauge("depth", [("i", "\(index)")], 1) }
        }
        for index in 0..<6 {
            Counter(label: "c_total", dimensions: [("i", "\(index)")], factory: registry)
                .increment()
        }
        #expect(reported.withLock { $0 } == ["c_total"])
        _ = registry.encode()
        _ = registry.encode()
        #expect(reported.withLock { $0 } == ["c_total", "depth"])
        #expect(MetricsRegistry.seriesPerFamilyDefault == 10_000)
    }
}
