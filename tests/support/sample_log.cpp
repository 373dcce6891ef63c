#include "tests/support/sample_log.hpp"

#include "core/digest.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace cairn {

namespace {

md5_digest digest_of_number(std::uint8_t first) {
  md5_digest md5{};
  for (auto& byte : md5)
    byte = first++;
  return md5;
}

segment_identity sample_identity() {
  segment_identity of;
  of.id = segment_id{0x1122334455667788};
  of.segment.collection = collection_id{29};
  of.segment.key = "Müller/été/日本.txt";
  of.segment.version = unified_id{0x0102030405060708};
  of.segment.timestamp = timestamp_us{1'700'000'000'123'456};
  of.segment.conjoined_part = 3;
  of.segment.segment_num = 255;
  of.nodes = {node_id{4}, node_id{5}};
  return of;
}

std::string describe_identity(const segment_identity& of) {
  const auto& segment = of.segment;
  return fmt::format("id={} collection={} key={} version={} timestamp={} part={} num={} source={} handoff={}",
                     of.id.value, segment.collection.value, segment.key, segment.version.value,
                     segment.timestamp.value, segment.conjoined_part, segment.segment_num,
                     of.nodes.source.value, of.nodes.handoff.value);
}

std::string describe_key(const segment_key& key) {
  return fmt::format("version={} part={} num={} handoff={}", key.version.value, key.conjoined_part,
                     key.segment_num, key.handoff.value);
}

std::string describe_pairs(const metadata& meta) {
  std::string text;
  for (const auto& [key, value] : meta)
    text += fmt::format(" [{}]=[{}]", key, value);
  return text;
}

struct describer {
  std::string operator()(const sequence_record& r) const {
    return fmt::format("{} sequence_num={} size={} padding={} adler32={} md5={} crc32c={}",
                       describe_identity(r.of), r.sequence.sequence_num, r.sequence.size_bytes,
                       r.sequence.padding_bytes, r.sequence.adler32, to_hex(r.sequence.md5),
                       r.checksums.crc32c);
  }
  std::string operator()(const final_record& r) const {
    return fmt::format("{} size={} adler32={} md5={} sequences={} total_bytes={}", describe_identity(r.of),
                       r.file.size_bytes, r.file.adler32, to_hex(r.file.md5), r.sequence_count, r.total_bytes)
           + describe_pairs(r.meta);
  }
  std::string operator()(const cancel_record& r) const {
    return fmt::format("id={} {} timestamp={} reason={}", r.id.value, describe_key(r.key), r.timestamp.value,
                       static_cast<int>(r.reason));
  }
  std::string operator()(const tombstone_record& r) const {
    return fmt::format("{} deletes={}", describe_identity(r.of), r.deletes.value);
  }
  std::string operator()(const conjoined_record& r) const {
    return fmt::format("row={} collection={} key={} version={} timestamp={} handoff={} action={}", r.row_id,
                       r.collection.value, r.key, r.version.value, r.timestamp.value, r.handoff.value,
                       static_cast<int>(r.action));
  }
  std::string operator()(const purge_record& r) const {
    return fmt::format("id={} {} timestamp={}", r.id.value, describe_key(r.key), r.timestamp.value);
  }
  std::string operator()(const collection_record& r) const {
    return fmt::format("collection={} versioned={}", r.collection.value, r.versioned);
  }
  std::string operator()(const node_record& r) const {
    return fmt::format("node={} name={} host={} port={}", r.node.value, r.name, r.host, r.port);
  }
  std::string operator()(const file_space_record& r) const {
    return fmt::format("space={} purpose={} path={} volume={} creation_time={}", r.space.value,
                       static_cast<int>(r.purpose), r.path, r.volume, r.creation_time.value);
  }
  std::string operator()(const repair_record& r) const {
    auto text = fmt::format("{} size={} adler32={} md5={}", describe_identity(r.of), r.file.size_bytes,
                            r.file.adler32, to_hex(r.file.md5));
    for (const auto& [info, value_file, data_offset_bytes] : r.sequences)
      text += fmt::format(" ({} size={} padding={} md5={} adler32={} value_file={} offset={})",
                          info.sequence_num, info.size_bytes, info.padding_bytes, to_hex(info.md5),
                          info.adler32, value_file.value, data_offset_bytes);
    return text + describe_pairs(r.meta);
  }
};

class file_in_memory final : public disk_file {
public:
  explicit file_in_memory(std::span<const std::byte> bytes) : bytes_(bytes) {}

  result<void> write_at(std::uint64_t, std::span<const std::byte>) override { return refuse(); }
  result<void> sync() override { return refuse(); }
  result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset >= bytes_.size())
      return std::size_t{0};
    const auto from = bytes_.subspan(static_cast<std::size_t>(offset));
    const auto count = std::min(out.size(), from.size());
    std::copy_n(from.begin(), count, out.begin());
    return count;
  }
  result<std::uint64_t> size() const override { return std::uint64_t{bytes_.size()}; }
  result<bool> preallocate(std::uint64_t) override { return false; }
  result<void> release_preallocation() override { return refuse(); }

private:
  static tl::unexpected<failure> refuse() { return fail(errc::storage_error, "this file is only read"); }

  std::span<const std::byte> bytes_;
};

} // namespace

file_header sample_file_header() {
  file_header header;
  header.kind = file_kind::compacted;
  header.id = value_file_id{1234};
  header.node = node_id{7};
  header.nonce = 0xa1b2c3d4e5f60718;
  header.first_lsn = log_sequence_number{1001};
  header.predecessor = value_file_id{1233};
  header.predecessor_valid_end = 0x12345000;
  header.creation_time = timestamp_us{1'700'000'000'000'001};
  header.cluster_name = "Köln";
  header.node_name = "multi-node-07";
  return header;
}

sequence_record sample_sequence(std::span<const std::byte> data) {
  const auto digests = digest_payload(data);
  sequence_record record;
  record.of = sample_identity();
  record.sequence.size_bytes = static_cast<std::uint32_t>(data.size());
  record.sequence.adler32 = digests.adler32;
  record.sequence.md5 = digests.md5;
  record.checksums = digests.checksums;
  record.data = payload::copy_of(data);
  return record;
}

std::vector<record_body> sample_records() {
  std::vector<record_body> records;

  static constexpr std::string_view text = "What a node has acknowledged it gives back.";
  auto sequence = sample_sequence(std::as_bytes(std::span(text)));
  sequence.sequence.sequence_num = 6;
  sequence.sequence.padding_bytes = 9;
  records.emplace_back(sequence);

  auto empty = sample_sequence({});
  empty.of.segment.key = "k";
  empty.of.segment.conjoined_part = 0;
  empty.of.nodes.handoff = node_id{};
  records.emplace_back(empty);

  final_record final;
  final.of = sample_identity();
  final.file = {0x7766554433221100, 0xfedcba98, digest_of_number(0xb0)};
  final.sequence_count = 7;
  final.total_bytes = 0x0011223344556677;
  final.meta = {{"content-type", "text/plain"}, {"empty", ""}, {"größe", "±1 µm"}};
  records.emplace_back(final);
  final.meta.clear();
  records.emplace_back(final);

  const segment_key key{unified_id{0x0807060504030201}, 11, 12, node_id{13}};
  records.emplace_back(
    cancel_record{segment_id{0x2122232425262728}, key, timestamp_us{-1}, cancel_reason::gateway_start});

  records.emplace_back(tombstone_record{sample_identity(), unified_id{0x3132333435363738}});

  records.emplace_back(conjoined_record{0x4142434445464748, collection_id{31}, "ключ",
                                        unified_id{0x5152535455565758}, timestamp_us{1'600'000'000'000'000},
                                        node_id{14}, conjoined_action::finish});
  records.emplace_back(
    purge_record{segment_id{0x6162636465666768}, key, timestamp_us{1'500'000'000'000'000}});
  records.emplace_back(collection_record{collection_id{37}, true});
  records.emplace_back(node_record{node_id{15}, "node-15", "fd00::15", 4815});
  records.emplace_back(file_space_record{space_id{16}, space_purpose::storage, "/srv/caché/16", "vol-16",
                                         timestamp_us{1'400'000'000'000'000}});
  records.emplace_back(repair_record{
    sample_identity(),
    {0x1716151413121110, 0xfedcba97, digest_of_number(0xd0)},
    {{{0, 0x01020304, 9, digest_of_number(0xe0), 0xfedcba96}, value_file_id{17}, 0x0102030405060708},
     {{1, 5, 0, digest_of_number(0xf0), 1}, value_file_id{18}, 4096}},
    {{"größe", "±2 µm"}}});
  return records;
}

std::string describe(const record_body& body) {
  return fmt::format("{} {}", type_name(body), std::visit(describer{}, body));
}

std::string describe(const file_header& header) {
  return fmt::format("kind={} id={} node={} nonce={} first_lsn={} predecessor={} valid_end={} created={} "
                     "cluster={} name={}",
                     static_cast<int>(header.kind), header.id.value, header.node.value, header.nonce,
                     header.first_lsn.value, header.predecessor.value, header.predecessor_valid_end,
                     header.creation_time.value, header.cluster_name, header.node_name);
}

log_image::log_image(const file_header& header) : bytes_(encode_file_header(header)) {
  frame_.lsn = header.first_lsn;
  frame_.nonce = header.nonce;
  frame_.synced_lsn = log_sequence_number{header.first_lsn.value - 1};
}

std::uint64_t log_image::add(const record_body& body) {
  const auto offset = bytes_.size();
  const auto* sequence = std::get_if<sequence_record>(&body);
  const auto small_data = encode_record_data(body);
  const auto data = sequence != nullptr ? sequence->data.bytes() : std::span<const std::byte>(small_data);
  const auto data_crc = sequence != nullptr ? sequence->checksums.crc32c : crc32c(data);
  bytes_.resize(offset + record_header_bytes(body));
  encode_record_header(body, frame_, data_crc, std::span(bytes_).subspan(offset));
  bytes_.insert(bytes_.end(), data.begin(), data.end());
  align(record_alignment_bytes);
  ++frame_.lsn.value;
  return offset;
}

std::uint64_t log_image::add_raw(std::uint8_t type, std::uint8_t flags, std::span<const std::byte> data) {
  const auto offset = add(collection_record{collection_id{1}, false});
  const auto header = std::span(bytes_).subspan(offset);
  const auto put = [&](std::size_t at, const auto value) { std::memcpy(&header[at], &value, sizeof value); };
  put(10, type);
  put(11, flags);
  put(12, static_cast<std::uint32_t>(data.size()));
  put(40, crc32c(data));
  put(4, crc32c(header.subspan(8)));
  bytes_.insert(bytes_.end(), data.begin(), data.end());
  align(record_alignment_bytes);
  return offset;
}

void log_image::end_batch() { align(disk_block_bytes); }

void log_image::align(std::size_t multiple) {
  bytes_.resize((bytes_.size() + multiple - 1) / multiple * multiple);
}

log_image sample_log() {
  log_image image(sample_file_header());
  const auto records = sample_records();
  for (std::size_t i = 0; i < records.size(); ++i) {
    image.add(records[i]);
    if (i == 4)
      image.end_batch();
  }
  image.end_batch();
  return image;
}

std::unique_ptr<disk_file> file_over(std::span<const std::byte> bytes) {
  return std::make_unique<file_in_memory>(bytes);
}

scan_findings scan_all(std::unique_ptr<disk_file> file, std::optional<std::uint64_t> end) {
  scan_findings findings;
  auto scanner = log_scanner::open(std::move(file), end);
  if (!scanner) {
    findings.failed = std::move(scanner.error());
    return findings;
  }
  findings.header_is_whole = file_header_is_whole(scanner->header_block());
  for (;;) {
    auto step = scanner->next();
    if (!step) {
      findings.failed = std::move(step.error());
      return findings;
    }
    if (std::holds_alternative<end_of_file>(*step))
      return findings;
    if (auto* unparsed = std::get_if<unparsed_bytes>(&*step)) {
      findings.unparsed.push_back(std::move(*unparsed));
      if (auto found = scanner->resync(); !found) {
        findings.failed = std::move(found.error());
        return findings;
      }
      continue;
    }
    auto& record = std::get<scanned_record>(*step);
    auto intact = scanner->data_is_intact(record);
    if (!intact) {
      findings.failed = std::move(intact.error());
      return findings;
    }
    if (!*intact)
      findings.broken_sequences.push_back(record.at.record_offset);
    findings.records.push_back(std::move(record));
  }
}

} // namespace cairn
