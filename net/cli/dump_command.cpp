#include "core/log/scanner.hpp"
#include "core/log/value_file_row.hpp"
#include "net/cli/command.hpp"
#include "net/size_text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cairn::cli {

namespace {

void describe(nlohmann::json& to, const segment_identity& of) {
  to["segment_id"] = of.id.value;
  to["key"] = of.segment.key;
  to["collection"] = of.segment.collection.value;
  to["version"] = of.segment.version.value;
  to["timestamp"] = time_text(of.segment.timestamp);
  to["conjoined_part"] = of.segment.conjoined_part;
  to["segment_num"] = of.segment.segment_num;
  to["source_node"] = of.nodes.source.value;
  to["handoff_node"] = of.nodes.handoff.value;
}

void describe(nlohmann::json& to, const segment_key& key) {
  to["version"] = key.version.value;
  to["conjoined_part"] = key.conjoined_part;
  to["segment_num"] = key.segment_num;
  to["handoff_node"] = key.handoff.value;
}

/// The fields of each type of record.
struct fields {
  nlohmann::json& to;

  void operator()(const sequence_record& r) {
    describe(to, r.of);
    to["sequence"] = r.sequence.sequence_num;
    to["size_bytes"] = r.sequence.size_bytes;
    to["padding_bytes"] = r.sequence.padding_bytes;
    to["md5"] = to_hex(r.sequence.md5);
    to["adler32"] = r.sequence.adler32;
  }
  void operator()(const final_record& r) {
    describe(to, r.of);
    to["file_size_bytes"] = r.file.size_bytes;
    to["file_md5"] = to_hex(r.file.md5);
    to["file_adler32"] = r.file.adler32;
    to["sequences"] = r.sequence_count;
    to["total_bytes"] = r.total_bytes;
    to["meta"] = r.meta;
  }
  void operator()(const cancel_record& r) {
    to["segment_id"] = r.id.value;
    describe(to, r.key);
    to["timestamp"] = time_text(r.timestamp);
    to["reason"] = static_cast<int>(r.reason);
  }
  void operator()(const tombstone_record& r) {
    describe(to, r.of);
    to["deletes"] = r.deletes.value;
  }
  void operator()(const conjoined_record& r) {
    to["row_id"] = r.row_id;
    to["collection"] = r.collection.value;
    to["key"] = r.key;
    to["version"] = r.version.value;
    to["timestamp"] = time_text(r.timestamp);
    to["handoff_node"] = r.handoff.value;
    to["action"] = static_cast<int>(r.action);
  }
  void operator()(const purge_record& r) {
    to["segment_id"] = r.id.value;
    describe(to, r.key);
    to["timestamp"] = time_text(r.timestamp);
  }
  void operator()(const collection_record& r) {
    to["collection"] = r.collection.value;
    to["versioned"] = r.versioned;
  }
  void operator()(const node_record& r) {
    to["node"] = r.node.value;
    to["name"] = r.name;
    to["host"] = r.host;
    to["port"] = r.port;
  }
  void operator()(const file_space_record& r) {
    to["space"] = r.space.value;
    to["purpose"] = r.purpose == space_purpose::journal ? "journal" : "storage";
    to["path"] = r.path;
    to["volume"] = r.volume;
  }
  void operator()(const repair_record& r) {
    describe(to, r.of);
    to["file_size_bytes"] = r.file.size_bytes;
    to["file_md5"] = to_hex(r.file.md5);
    to["file_adler32"] = r.file.adler32;
    to["sequences"] = nlohmann::json::array();
    for (const auto& sequence : r.sequences)
      to["sequences"].push_back({{"size_bytes", sequence.info.size_bytes},
                                 {"value_file", sequence.value_file.value},
                                 {"data_offset_bytes", sequence.data_offset_bytes}});
    to["meta"] = r.meta;
  }
};

std::string one_line(const nlohmann::json& record) {
  auto line = fmt::format("{:>10}  lsn {:<8} {:<10}", record["offset_bytes"].get<std::uint64_t>(),
                          record["lsn"].get<std::uint64_t>(), record["type"].get<std::string>());
  for (const auto* field : {"key", "segment_id", "version", "segment_num", "sequence", "size_bytes",
                            "sequences", "file_size_bytes", "name", "path", "data_is_intact"})
    if (record.contains(field))
      line += fmt::format(" {}={}", field, record[field].dump());
  return line;
}

/// A file header's fields.
nlohmann::json describe(const file_header& h) {
  return {{"value_file", h.id.value},
          {"cluster", h.cluster_name},
          {"node", h.node_name},
          {"node_id", h.node.value},
          {"kind", h.kind == file_kind::journal ? "journal" : "compacted"},
          {"nonce", fmt::format("{:016x}", h.nonce)},
          {"first_lsn", h.first_lsn.value},
          {"predecessor", h.predecessor.value},
          {"predecessor_valid_end", h.predecessor_valid_end},
          {"created", time_text(h.creation_time)}};
}

} // namespace

exit_code dump(output& out, const std::string& path) {
  auto file = real_disk().open_for_read(path);
  if (!file)
    return report(out, file.error().code, file.error().message);
  auto scanner = log_scanner::open(std::move(*file));
  if (!scanner)
    return report(out, scanner.error().code, fmt::format("{}: {}", path, scanner.error().message));
  const auto& header = scanner->header();
  out.result(describe(header),
             fmt::format("value file {} of node {} of cluster {}, from LSN {}, after file {} up to byte {}",
                         header.id.value, header.node_name, header.cluster_name, header.first_lsn.value,
                         header.predecessor.value, header.predecessor_valid_end));

  value_file_summary summary(header.id, {}, header.creation_time);
  summary.add_file_header(scanner->header_block());
  std::uint64_t records = 0;
  std::uint64_t damaged = 0;
  for (;;) {
    auto step = scanner->next();
    if (!step)
      return report(out, step.error().code, step.error().message);
    if (std::holds_alternative<end_of_file>(*step))
      break;
    if (const auto* unparsed = std::get_if<unparsed_bytes>(&*step)) {
      ++damaged;
      const auto next = scanner->resync();
      nlohmann::json object{{"offset_bytes", unparsed->offset}, {"unparsed", unparsed->reason}};
      if (next)
        object["resumes_at"] = *next;
      out.result(object, fmt::format("{:>10}  NO RECORD: {}{}", unparsed->offset, unparsed->reason,
                                     next ? fmt::format("; goes on at {}", *next) : std::string{}));
      if (!next) // the scanner stands where it stood: asking it again would never end
        return report(out, next.error().code, next.error().message);
      continue;
    }
    const auto& record = std::get<scanned_record>(*step);
    ++records;
    nlohmann::json object{{"offset_bytes", record.at.record_offset},
                          {"header_bytes", record.at.header_bytes},
                          {"data_offset_bytes", record.at.data_offset()},
                          {"data_bytes", record.at.data_bytes},
                          {"lsn", record.at.lsn.value},
                          {"synced_lsn", record.prefix.frame.synced_lsn.value},
                          {"header_crc32c", record.at.header_crc32c},
                          {"type", record.body ? std::string{type_name(*record.body)} : "unknown"}};
    if (record.body) {
      summary.add_record(record.header, *record.body);
      std::visit(fields{object}, *record.body);
      if (std::holds_alternative<sequence_record>(*record.body)) {
        const auto intact = scanner->data_is_intact(record).value_or(false);
        damaged += intact ? 0 : 1;
        if (!intact || out.is_json())
          object["data_is_intact"] = intact;
      }
    } else {
      summary.add_unknown_record(record.header);
    }
    out.result(object, one_line(object));
  }
  const auto row = summary.closed_row(scanner->end(), {});
  out.result({{"records", records},
              {"damaged", damaged},
              {"size_bytes", scanner->end()},
              {"digest", to_hex(*row.hash)},
              {"sequences", row.sequence_count}},
             fmt::format("{} records, {} sequences, {} bytes, {} damaged, digest {}", records,
                         row.sequence_count, scanner->end(), damaged, to_hex(*row.hash)));
  return damaged == 0 ? exit_code::done : exit_code::damaged;
}

} // namespace cairn::cli
