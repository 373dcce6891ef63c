#include "core/log/codec.hpp"

#include "core/digest.hpp"
#include "core/log/bytes.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace cairn {

namespace {

constexpr std::string_view file_magic = "CAIRNVF1";
constexpr std::string_view record_magic = "CRec";
constexpr std::size_t name_field_bytes = 64;
constexpr std::size_t file_header_copy_bytes = file_header_bytes / 2;
constexpr std::size_t file_header_checked_bytes = file_header_copy_bytes - sizeof(std::uint32_t);
constexpr std::size_t record_checked_from = 8; // past magic and the checksum itself
constexpr std::size_t frame_nonce_offset = 24;
constexpr std::uint8_t flag_skippable = 1;

/// Type number in the log of alternative T.
template <class T, std::size_t I = 0>
constexpr std::uint8_t type_number() {
  if constexpr (std::is_same_v<T, std::variant_alternative_t<I, record_body>>)
    return I + 1;
  else
    return type_number<T, I + 1>();
}

constexpr std::size_t header_bytes_for(std::size_t fields) {
  return round_up(record_frame_bytes + fields, record_alignment_bytes);
}

// Sizes of the fields before what ends a header and varies in size; see FORMAT.md.
constexpr std::size_t sequence_fields = 80;
constexpr std::size_t final_fields = 96;
constexpr std::size_t cancel_fields = 40;
constexpr std::size_t tombstone_fields = 64;
constexpr std::size_t conjoined_fields = 40;
constexpr std::size_t purge_fields = 40;
constexpr std::size_t collection_fields = 8;
constexpr std::size_t node_fields = 16;
constexpr std::size_t file_space_fields = 24;
constexpr std::size_t repair_fields = 80;
constexpr std::size_t repaired_sequence_bytes = 48; ///< in a repair's data

struct header_size {
  std::size_t operator()(const sequence_record& r) const {
    return sequence_fields + checksum_block_count(r.sequence.size_bytes) * sizeof(std::uint32_t)
           + r.of.segment.key.size();
  }
  std::size_t operator()(const final_record& r) const { return final_fields + r.of.segment.key.size(); }
  std::size_t operator()(const cancel_record&) const { return cancel_fields; }
  std::size_t operator()(const tombstone_record& r) const {
    return tombstone_fields + r.of.segment.key.size();
  }
  std::size_t operator()(const conjoined_record& r) const { return conjoined_fields + r.key.size(); }
  std::size_t operator()(const purge_record&) const { return purge_fields; }
  std::size_t operator()(const collection_record&) const { return collection_fields; }
  std::size_t operator()(const node_record& r) const { return node_fields + r.name.size() + r.host.size(); }
  std::size_t operator()(const file_space_record& r) const {
    return file_space_fields + r.path.size() + r.volume.size();
  }
  std::size_t operator()(const repair_record& r) const { return repair_fields + r.of.segment.key.size(); }
};

std::size_t encoded_metadata_bytes(const metadata& meta) {
  if (meta.empty())
    return 0;
  std::size_t bytes = sizeof(std::uint16_t);
  for (const auto& [key, value] : meta)
    bytes += 2 * sizeof(std::uint16_t) + key.size() + value.size();
  return bytes;
}

/// An enumerator, numbered from 1 to `last`.
template <class Stored, class Enum>
Enum get_enum(byte_reader& in, Enum last) {
  const auto number = in.get<Stored>();
  if (number < 1 || number > static_cast<Stored>(last))
    in.reject();
  return static_cast<Enum>(number);
}

template <class Size>
Size narrow(std::size_t n) {
  return static_cast<Size>(n);
}

void put_identity(byte_writer& out, const segment_identity& of) {
  out.put(of.id.value);
  out.put(of.segment.version.value);
  out.put(of.segment.timestamp.value);
  out.put(of.segment.collection.value);
  out.put(of.segment.conjoined_part);
  out.put(of.segment.segment_num);
  out.put(of.nodes.source.value);
  out.put(of.nodes.handoff.value);
}

segment_identity get_identity(byte_reader& in) {
  segment_identity of;
  of.id.value = in.get<std::int64_t>();
  of.segment.version.value = in.get<std::uint64_t>();
  of.segment.timestamp.value = in.get<std::int64_t>();
  of.segment.collection.value = in.get<std::int32_t>();
  of.segment.conjoined_part = in.get<std::int32_t>();
  of.segment.segment_num = in.get<std::int32_t>();
  of.nodes.source.value = in.get<std::int32_t>();
  of.nodes.handoff.value = in.get<std::int32_t>();
  return of;
}

void put_key(byte_writer& out, const segment_key& key) {
  out.put(key.version.value);
  out.put(key.conjoined_part);
  out.put(key.segment_num);
  out.put(key.handoff.value);
}

segment_key get_key(byte_reader& in) {
  segment_key key;
  key.version.value = in.get<std::uint64_t>();
  key.conjoined_part = in.get<std::int32_t>();
  key.segment_num = in.get<std::int32_t>();
  key.handoff.value = in.get<std::int32_t>();
  return key;
}

void put_fields(byte_writer& out, const sequence_record& r) {
  put_identity(out, r.of);
  out.put(r.sequence.sequence_num);
  out.put(r.sequence.padding_bytes);
  out.put(r.sequence.adler32);
  out.raw(r.sequence.md5.data(), r.sequence.md5.size());
  out.put(narrow<std::uint16_t>(r.of.segment.key.size()));
  out.put(std::uint16_t{0});
  out.put(std::uint32_t{0});
  for (const auto block : r.checksums.blocks)
    out.put(block);
  out.text(r.of.segment.key);
}

sequence_record get_sequence(byte_reader& in, std::uint32_t data_bytes, std::uint32_t data_crc32c) {
  sequence_record r;
  r.of = get_identity(in);
  r.sequence.sequence_num = in.get<std::int32_t>();
  r.sequence.size_bytes = data_bytes;
  r.sequence.padding_bytes = in.get<std::uint32_t>();
  r.sequence.adler32 = in.get<std::uint32_t>();
  in.raw(r.sequence.md5.data(), r.sequence.md5.size());
  const auto key_bytes = in.get<std::uint16_t>();
  in.skip(6);
  r.checksums.crc32c = data_crc32c;
  r.checksums.blocks.resize(checksum_block_count(data_bytes));
  for (auto& block : r.checksums.blocks)
    block = in.get<std::uint32_t>();
  r.of.segment.key = in.text(key_bytes);
  return r;
}

void put_fields(byte_writer& out, const final_record& r) {
  put_identity(out, r.of);
  out.put(r.sequence_count);
  out.put(r.file.adler32);
  out.put(narrow<std::uint16_t>(r.of.segment.key.size()));
  out.put(std::uint16_t{0});
  out.raw(r.file.md5.data(), r.file.md5.size());
  out.put(r.file.size_bytes);
  out.put(r.total_bytes);
  out.put(std::uint64_t{0});
  out.text(r.of.segment.key);
}

void put_metadata(byte_writer& out, const metadata& meta) {
  if (meta.empty())
    return;
  out.put(narrow<std::uint16_t>(meta.size()));
  for (const auto& [key, value] : meta) {
    out.put(narrow<std::uint16_t>(key.size()));
    out.put(narrow<std::uint16_t>(value.size()));
    out.text(key);
    out.text(value);
  }
}

metadata decode_metadata(byte_reader in, bool& ok) {
  metadata meta;
  if (in.remaining() == 0)
    return meta;
  const auto pairs = in.get<std::uint16_t>();
  for (std::uint16_t i = 0; i < pairs && in.ok(); ++i) {
    const auto key_bytes = in.get<std::uint16_t>();
    const auto value_bytes = in.get<std::uint16_t>();
    auto key = in.text(key_bytes);
    meta.insert_or_assign(std::move(key), in.text(value_bytes));
  }
  ok = in.ok() && in.remaining() == 0;
  return meta;
}

final_record get_final(byte_reader& in) {
  final_record r;
  r.of = get_identity(in);
  r.sequence_count = in.get<std::int32_t>();
  r.file.adler32 = in.get<std::uint32_t>();
  const auto key_bytes = in.get<std::uint16_t>();
  in.skip(2);
  in.raw(r.file.md5.data(), r.file.md5.size());
  r.file.size_bytes = in.get<std::int64_t>();
  r.total_bytes = in.get<std::uint64_t>();
  in.skip(8);
  r.of.segment.key = in.text(key_bytes);
  return r;
}

void put_fields(byte_writer& out, const cancel_record& r) {
  out.put(r.id.value);
  put_key(out, r.key);
  out.put(static_cast<std::uint32_t>(r.reason));
  out.put(r.timestamp.value);
}

cancel_record get_cancel(byte_reader& in) {
  cancel_record r;
  r.id.value = in.get<std::int64_t>();
  r.key = get_key(in);
  r.reason = get_enum<std::uint32_t>(in, cancel_reason::storage_fault);
  r.timestamp.value = in.get<std::int64_t>();
  return r;
}

void put_fields(byte_writer& out, const tombstone_record& r) {
  put_identity(out, r.of);
  out.put(std::uint32_t{0});
  out.put(r.deletes.value);
  out.put(narrow<std::uint16_t>(r.of.segment.key.size()));
  out.put(std::uint16_t{0});
  out.put(std::uint32_t{0});
  out.text(r.of.segment.key);
}

tombstone_record get_tombstone(byte_reader& in) {
  tombstone_record r;
  r.of = get_identity(in);
  in.skip(4);
  r.deletes.value = in.get<std::uint64_t>();
  const auto key_bytes = in.get<std::uint16_t>();
  in.skip(6);
  r.of.segment.key = in.text(key_bytes);
  return r;
}

void put_fields(byte_writer& out, const conjoined_record& r) {
  out.put(r.row_id);
  out.put(r.version.value);
  out.put(r.timestamp.value);
  out.put(r.collection.value);
  out.put(r.handoff.value);
  out.put(static_cast<std::uint8_t>(r.action));
  out.put(std::uint8_t{0});
  out.put(narrow<std::uint16_t>(r.key.size()));
  out.put(std::uint32_t{0});
  out.text(r.key);
}

conjoined_record get_conjoined(byte_reader& in) {
  conjoined_record r;
  r.row_id = in.get<std::int64_t>();
  r.version.value = in.get<std::uint64_t>();
  r.timestamp.value = in.get<std::int64_t>();
  r.collection.value = in.get<std::int32_t>();
  r.handoff.value = in.get<std::int32_t>();
  r.action = get_enum<std::uint8_t>(in, conjoined_action::finish);
  in.skip(1);
  const auto key_bytes = in.get<std::uint16_t>();
  in.skip(4);
  r.key = in.text(key_bytes);
  return r;
}

void put_fields(byte_writer& out, const purge_record& r) {
  out.put(r.id.value);
  put_key(out, r.key);
  out.put(std::uint32_t{0});
  out.put(r.timestamp.value);
}

purge_record get_purge(byte_reader& in) {
  purge_record r;
  r.id.value = in.get<std::int64_t>();
  r.key = get_key(in);
  in.skip(4);
  r.timestamp.value = in.get<std::int64_t>();
  return r;
}

void put_fields(byte_writer& out, const collection_record& r) {
  out.put(r.collection.value);
  out.put(std::uint32_t{r.versioned});
}

collection_record get_collection(byte_reader& in) {
  collection_record r;
  r.collection.value = in.get<std::int32_t>();
  r.versioned = in.get<std::uint32_t>() != 0;
  return r;
}

void put_fields(byte_writer& out, const node_record& r) {
  out.put(r.node.value);
  out.put(r.port);
  out.put(narrow<std::uint16_t>(r.name.size()));
  out.put(narrow<std::uint16_t>(r.host.size()));
  out.put(std::uint32_t{0});
  out.text(r.name);
  out.text(r.host);
}

node_record get_node(byte_reader& in) {
  node_record r;
  r.node.value = in.get<std::int32_t>();
  r.port = in.get<std::int32_t>();
  const auto name_bytes = in.get<std::uint16_t>();
  const auto host_bytes = in.get<std::uint16_t>();
  in.skip(4);
  r.name = in.text(name_bytes);
  r.host = in.text(host_bytes);
  return r;
}

void put_fields(byte_writer& out, const file_space_record& r) {
  out.put(r.space.value);
  out.put(static_cast<std::uint32_t>(r.purpose));
  out.put(r.creation_time.value);
  out.put(narrow<std::uint16_t>(r.path.size()));
  out.put(narrow<std::uint16_t>(r.volume.size()));
  out.put(std::uint32_t{0});
  out.text(r.path);
  out.text(r.volume);
}

file_space_record get_file_space(byte_reader& in) {
  file_space_record r;
  r.space.value = in.get<std::int32_t>();
  r.purpose = get_enum<std::uint32_t>(in, space_purpose::storage);
  r.creation_time.value = in.get<std::int64_t>();
  const auto path_bytes = in.get<std::uint16_t>();
  const auto volume_bytes = in.get<std::uint16_t>();
  in.skip(4);
  r.path = in.text(path_bytes);
  r.volume = in.text(volume_bytes);
  return r;
}

void put_fields(byte_writer& out, const repair_record& r) {
  put_identity(out, r.of);
  out.put(narrow<std::int32_t>(r.sequences.size()));
  out.put(r.file.adler32);
  out.put(narrow<std::uint16_t>(r.of.segment.key.size()));
  out.put(std::uint16_t{0});
  out.raw(r.file.md5.data(), r.file.md5.size());
  out.put(r.file.size_bytes);
  out.text(r.of.segment.key);
}

void put_stored_sequence(byte_writer& out, const stored_sequence& sequence) {
  out.put(sequence.data_offset_bytes);
  out.put(sequence.value_file.value);
  out.put(sequence.info.size_bytes);
  out.put(sequence.info.padding_bytes);
  out.put(sequence.info.adler32);
  out.raw(sequence.info.md5.data(), sequence.info.md5.size());
  out.put(std::uint64_t{0});
}

stored_sequence get_stored_sequence(byte_reader& in, std::int32_t number) {
  stored_sequence sequence;
  sequence.info.sequence_num = number;
  sequence.data_offset_bytes = in.get<std::uint64_t>();
  sequence.value_file.value = in.get<std::int32_t>();
  sequence.info.size_bytes = in.get<std::uint32_t>();
  sequence.info.padding_bytes = in.get<std::uint32_t>();
  sequence.info.adler32 = in.get<std::uint32_t>();
  in.raw(sequence.info.md5.data(), sequence.info.md5.size());
  in.skip(8);
  return sequence;
}

/// @param data sequences and metadata, or empty
repair_record get_repair(byte_reader& in, std::size_t data_bytes, std::span<const std::byte> data,
                         bool& data_ok) {
  repair_record r;
  r.of = get_identity(in);
  const auto count = in.get<std::int32_t>();
  r.file.adler32 = in.get<std::uint32_t>();
  const auto key_bytes = in.get<std::uint16_t>();
  in.skip(2);
  in.raw(r.file.md5.data(), r.file.md5.size());
  r.file.size_bytes = in.get<std::int64_t>();
  r.of.segment.key = in.text(key_bytes);
  if (count < 1 || static_cast<std::size_t>(count) > data_bytes / repaired_sequence_bytes)
    in.reject();
  if (data.empty() || !in.ok())
    return r;
  if (data.size() != data_bytes) {
    data_ok = false;
    return r;
  }
  const auto sequence_bytes = static_cast<std::size_t>(count) * repaired_sequence_bytes;
  byte_reader places(data.first(sequence_bytes));
  r.sequences.reserve(static_cast<std::size_t>(count));
  for (std::int32_t number = 0; number < count; ++number)
    r.sequences.push_back(get_stored_sequence(places, number));
  r.meta = decode_metadata(byte_reader(data.subspan(sequence_bytes)), data_ok);
  return r;
}

} // namespace

std::string_view type_name(const record_body& body) {
  static constexpr std::string_view names[] = {"sequence", "final",      "cancel", "tombstone",  "conjoined",
                                               "purge",    "collection", "node",   "file_space", "repair"};
  static_assert(std::size(names) == std::variant_size_v<record_body>);
  return names[body.index()];
}

std::vector<std::byte> encode_file_header(const file_header& header) {
  std::vector<std::byte> block(file_header_bytes);
  byte_writer out(block);
  out.text(file_magic);
  out.put(log_format_version);
  out.put(static_cast<std::uint8_t>(header.kind));
  out.put(std::uint8_t{0});
  out.put(header.id.value);
  out.put(header.node.value);
  out.put(header.predecessor.value);
  out.put(header.nonce);
  out.put(header.first_lsn.value);
  out.put(header.predecessor_valid_end);
  out.put(header.creation_time.value);
  for (const auto* name : {&header.cluster_name, &header.node_name}) {
    const auto begin = out.used();
    out.put(narrow<std::uint8_t>(name->size()));
    out.text(*name);
    out.zeros_up_to(begin + name_field_bytes);
  }
  out.zeros_up_to(file_header_checked_bytes);
  out.put(crc32c(std::span(block).first(file_header_checked_bytes)));
  std::copy_n(block.begin(), file_header_copy_bytes, block.begin() + file_header_copy_bytes);
  return block;
}

namespace {

result<file_header> decode_file_header_copy(std::span<const std::byte> block) {
  byte_reader in(block);
  if (in.text(file_magic.size()) != file_magic)
    return fail(errc::damaged, "not a value file: it does not begin with CAIRNVF1");
  byte_reader crc(block.subspan(file_header_checked_bytes, sizeof(std::uint32_t)));
  if (crc.get<std::uint32_t>() != crc32c(block.first(file_header_checked_bytes)))
    return fail(errc::damaged, "value file header fails its CRC-32C");
  if (const auto version = in.get<std::uint16_t>(); version != log_format_version)
    return fail(errc::version_mismatch, fmt::format("value file has format version {}, this program reads {}",
                                                    version, log_format_version));
  file_header header;
  header.kind = get_enum<std::uint8_t>(in, file_kind::compacted);
  if (!in.ok())
    return fail(errc::damaged, "value file header holds a kind that is not known");
  in.skip(1);
  header.id.value = in.get<std::int32_t>();
  header.node.value = in.get<std::int32_t>();
  header.predecessor.value = in.get<std::int32_t>();
  header.nonce = in.get<std::uint64_t>();
  header.first_lsn.value = in.get<std::uint64_t>();
  header.predecessor_valid_end = in.get<std::uint64_t>();
  header.creation_time.value = in.get<std::int64_t>();
  for (auto* name : {&header.cluster_name, &header.node_name}) {
    const auto begin = in.used();
    const auto name_bytes = in.get<std::uint8_t>();
    if (name_bytes >= name_field_bytes)
      return fail(errc::damaged, "value file header holds a name that is too long");
    *name = in.text(name_bytes);
    in.skip(begin + name_field_bytes - in.used());
  }
  return header;
}

} // namespace

result<file_header> decode_file_header(std::span<const std::byte> block) {
  if (block.size() < file_header_bytes)
    return fail(errc::damaged,
                fmt::format("value file is shorter than its {}-byte header", file_header_bytes));
  auto first = decode_file_header_copy(block.first(file_header_copy_bytes));
  if (first || first.error().code != errc::damaged)
    return first;
  auto second = decode_file_header_copy(block.subspan(file_header_copy_bytes, file_header_copy_bytes));
  return second || second.error().code != errc::damaged ? second : first;
}

bool file_header_is_whole(std::span<const std::byte> block) {
  const auto first = block.first(file_header_copy_bytes);
  const auto second = block.subspan(file_header_copy_bytes, file_header_copy_bytes);
  return decode_file_header_copy(first).has_value() && std::ranges::equal(first, second);
}

std::size_t record_header_bytes(const record_body& body) {
  return header_bytes_for(std::visit(header_size{}, body));
}

std::size_t record_data_bytes(const record_body& body) {
  if (const auto* sequence = std::get_if<sequence_record>(&body))
    return sequence->data.size();
  if (const auto* final = std::get_if<final_record>(&body))
    return encoded_metadata_bytes(final->meta);
  if (const auto* repair = std::get_if<repair_record>(&body))
    return repair->sequences.size() * repaired_sequence_bytes + encoded_metadata_bytes(repair->meta);
  return 0;
}

std::size_t record_total_bytes(const record_body& body) {
  return round_up(record_header_bytes(body) + record_data_bytes(body), record_alignment_bytes);
}

std::vector<std::byte> encode_record_data(const record_body& body) {
  if (std::holds_alternative<sequence_record>(body))
    return {};
  std::vector<std::byte> data(record_data_bytes(body));
  byte_writer out(data);
  if (const auto* final = std::get_if<final_record>(&body))
    put_metadata(out, final->meta);
  if (const auto* repair = std::get_if<repair_record>(&body)) {
    for (const auto& sequence : repair->sequences)
      put_stored_sequence(out, sequence);
    put_metadata(out, repair->meta);
  }
  return data;
}

std::uint32_t encode_record_header(const record_body& body, const record_frame& frame,
                                   std::uint32_t data_crc32c, std::span<std::byte> out_bytes) {
  const auto* sequence = std::get_if<sequence_record>(&body);
  if (out_bytes.size() > max_record_header_bytes || record_data_bytes(body) > max_record_data_bytes
      || (sequence != nullptr
          && (sequence->data.size() != sequence->sequence.size_bytes
              || sequence->checksums.blocks.size() != checksum_block_count(sequence->data.size()))))
    __builtin_trap();
  byte_writer out(out_bytes);
  out.text(record_magic);
  out.put(std::uint32_t{0}); // the checksum, below
  out.put(narrow<std::uint16_t>(out_bytes.size()));
  out.put(static_cast<std::uint8_t>(body.index() + 1));
  out.put(std::uint8_t{0}); // every type of this version matters to every reader
  out.put(narrow<std::uint32_t>(record_data_bytes(body)));
  out.put(frame.lsn.value);
  out.put(frame.nonce);
  out.put(frame.synced_lsn.value);
  out.put(data_crc32c);
  out.put(std::uint32_t{0});
  std::visit([&](const auto& record) { put_fields(out, record); }, body);
  out.zeros_up_to(out_bytes.size());
  const auto crc = crc32c(out_bytes.subspan(record_checked_from));
  byte_writer(out_bytes.subspan(record_magic.size())).put(crc);
  return crc;
}

std::size_t find_record_frame(std::span<const std::byte> bytes, std::uint64_t nonce) {
  std::size_t at = 0;
  for (; at + record_frame_bytes <= bytes.size(); at += record_alignment_bytes)
    if (std::memcmp(bytes.data() + at, record_magic.data(), record_magic.size()) == 0
        && std::memcmp(bytes.data() + at + frame_nonce_offset, &nonce, sizeof nonce) == 0)
      break;
  return at;
}

result<record_prefix> decode_record_prefix(std::span<const std::byte> bytes, std::uint64_t nonce) {
  byte_reader in(bytes);
  if (in.text(record_magic.size()) != record_magic)
    return fail(errc::damaged, "no record header here");
  record_prefix prefix;
  prefix.header_crc32c = in.get<std::uint32_t>();
  prefix.header_bytes = in.get<std::uint16_t>();
  prefix.type = in.get<std::uint8_t>();
  prefix.skippable = (in.get<std::uint8_t>() & flag_skippable) != 0;
  prefix.data_bytes = in.get<std::uint32_t>();
  prefix.frame.lsn.value = in.get<std::uint64_t>();
  prefix.frame.nonce = in.get<std::uint64_t>();
  prefix.frame.synced_lsn.value = in.get<std::uint64_t>();
  prefix.data_crc32c = in.get<std::uint32_t>();
  if (!in.ok())
    return fail(errc::damaged, "record header is cut off");
  if (prefix.frame.nonce != nonce)
    return fail(errc::damaged, "record header belongs to another value file");
  if (prefix.header_bytes < record_frame_bytes || prefix.header_bytes > max_record_header_bytes
      || prefix.header_bytes % record_alignment_bytes != 0 || prefix.data_bytes > max_record_data_bytes)
    return fail(errc::damaged,
                fmt::format("record header claims {} + {} bytes", prefix.header_bytes, prefix.data_bytes));
  return prefix;
}

bool is_known_record_type(std::uint8_t type) { return type >= 1 && type <= std::variant_size_v<record_body>; }

bool record_header_is_intact(const record_prefix& prefix, std::span<const std::byte> header) {
  return header.size() == prefix.header_bytes
         && crc32c(header.subspan(record_checked_from)) == prefix.header_crc32c;
}

result<record_body> decode_record(const record_prefix& prefix, std::span<const std::byte> header,
                                  std::span<const std::byte> data) {
  if (!record_header_is_intact(prefix, header))
    return fail(errc::damaged, "record header fails its CRC-32C");
  byte_reader in(header.subspan(record_frame_bytes));
  record_body body;
  bool data_ok = true;
  switch (prefix.type) {
    case type_number<sequence_record>():
      body = get_sequence(in, prefix.data_bytes, prefix.data_crc32c);
      break;
    case type_number<final_record>(): {
      auto record = get_final(in);
      record.meta = decode_metadata(byte_reader(data), data_ok);
      body = std::move(record);
      break;
    }
    case type_number<cancel_record>(): body = get_cancel(in); break;
    case type_number<tombstone_record>(): body = get_tombstone(in); break;
    case type_number<conjoined_record>(): body = get_conjoined(in); break;
    case type_number<purge_record>(): body = get_purge(in); break;
    case type_number<collection_record>(): body = get_collection(in); break;
    case type_number<node_record>(): body = get_node(in); break;
    case type_number<file_space_record>(): body = get_file_space(in); break;
    case type_number<repair_record>(): body = get_repair(in, prefix.data_bytes, data, data_ok); break;
    default: return fail(errc::damaged, fmt::format("record type {} is not known", prefix.type));
  }
  if (!in.ok() || !data_ok)
    return fail(errc::damaged, fmt::format("{} record's fields do not fit", type_name(body)));
  return body;
}

} // namespace cairn
