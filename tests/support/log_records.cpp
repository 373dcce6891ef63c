#include "tests/support/log_records.hpp"

#include <map>

namespace cairn {

record_list& record_list::add(record_body body) {
  placement at;
  at.lsn = log_sequence_number{next_lsn_};
  at.value_file = value_file_id{static_cast<std::int32_t>(1 + next_lsn_ / 100)};
  at.record_offset = 4096 + next_lsn_ * 512;
  at.header_bytes = 128;
  ++next_lsn_;
  records_.push_back({std::move(body), at});
  return *this;
}

record_list& record_list::add_entire(const segment_identity& of, metadata meta) {
  return add(make_sequence(of, 0)).add(make_final(of, 1, 10, std::move(meta)));
}

segment_identity make_identity(std::int64_t id, std::uint64_t version, std::string key) {
  segment_identity of;
  of.id = segment_id{id};
  of.segment.collection = collection_id{7};
  of.segment.key = std::move(key);
  of.segment.version = unified_id{version};
  of.segment.timestamp = timestamp_us{1'700'000'000'123'456};
  of.segment.segment_num = 1;
  of.nodes.source = node_id{2};
  return of;
}

sequence_record make_sequence(const segment_identity& of, std::int32_t number, std::uint32_t size_bytes) {
  sequence_record record;
  record.of = of;
  record.sequence.sequence_num = number;
  record.sequence.size_bytes = size_bytes;
  record.sequence.md5.fill(static_cast<std::uint8_t>(number + 1));
  record.sequence.adler32 = 77;
  return record;
}

final_record make_final(const segment_identity& of, std::int32_t count, std::uint64_t total_bytes,
                        metadata meta) {
  final_record record;
  record.of = of;
  record.file.size_bytes = 1000;
  record.file.adler32 = 99;
  record.file.md5.fill(0xab);
  record.sequence_count = count;
  record.total_bytes = total_bytes;
  record.meta = std::move(meta);
  return record;
}

repair_record make_repair(const segment_identity& of, const std::vector<placement>& places, metadata meta) {
  repair_record record{of, make_final(of, 0, 0).file, {}, std::move(meta)};
  for (const auto& at : places) {
    const auto number = static_cast<std::int32_t>(record.sequences.size());
    record.sequences.push_back({make_sequence(of, number).sequence, at.value_file, at.data_offset()});
  }
  return record;
}

cancel_record make_cancel(const segment_key& key, cancel_reason reason, segment_id id) {
  return {id, key, timestamp_us{1'700'000'000'000'001}, reason};
}

conjoined_record make_conjoined(std::int64_t row_id, std::uint64_t version, conjoined_action action,
                                std::int64_t timestamp) {
  conjoined_record record;
  record.row_id = row_id;
  record.collection = collection_id{7};
  record.key = "big";
  record.version = unified_id{version};
  record.timestamp = timestamp_us{timestamp};
  record.action = action;
  return record;
}

record_list random_records(std::mt19937_64& random, std::size_t count) {
  const auto below = [&](std::uint64_t end) {
    return std::uniform_int_distribution<std::uint64_t>(0, end - 1)(random);
  };
  record_list list;
  std::vector<segment_identity> attempts;
  std::int64_t next_id = 1;
  const auto fresh = [&] {
    auto of = make_identity(next_id++, 1 + below(4));
    of.segment.conjoined_part = static_cast<std::int32_t>(below(2));
    of.nodes.handoff = node_id{static_cast<std::int32_t>(below(3) == 0 ? 3 : 0)};
    return of;
  };
  const auto any = [&] {
    return attempts.empty()
             ? fresh()
             : attempts[attempts.size() - 1 - below(std::min<std::size_t>(attempts.size(), 6))];
  };
  while (list.all().size() < count) {
    const auto of = any();
    switch (below(17)) {
      case 0:
      case 1:
      case 2:
        attempts.push_back(fresh());
        list.add(make_sequence(attempts.back(), 0));
        break;
      case 3:
      case 4:
        attempts.push_back(fresh());
        list.add_entire(attempts.back(), {{"k", "v" + std::to_string(next_id)}});
        break;
      case 5:
      case 6:
      case 7: {
        auto sequence = make_sequence(of, static_cast<std::int32_t>(below(4)), 10);
        sequence.sequence.adler32 = static_cast<std::uint32_t>(below(3));
        list.add(sequence);
        break;
      }
      case 8:
      case 9: {
        const auto sequences = static_cast<std::int32_t>(1 + below(3));
        list.add(
          make_final(of, sequences, static_cast<std::uint64_t>(sequences) * 10, {{"a", "b"}, {"c", ""}}));
        break;
      }
      case 10: list.add(make_cancel(of.key())); break;
      case 11: {
        const auto reason = static_cast<cancel_reason>(2 + below(4));
        list.add(make_cancel(of.key(), reason, of.id));
        break;
      }
      case 12: {
        auto tombstone = fresh();
        tombstone.segment.conjoined_part = 0;
        if (below(2) == 0)
          tombstone.segment.version.value += 100;
        list.add(tombstone_record{tombstone, unified_id{below(3)}});
        break;
      }
      case 13: {
        auto step = make_conjoined(next_id++, 1 + below(3), static_cast<conjoined_action>(1 + below(3)));
        step.timestamp.value += static_cast<std::int64_t>(below(1000));
        step.key = below(5) == 0 ? "other" : "big";
        list.add(step);
        break;
      }
      case 14: list.add(purge_record{{}, of.key(), timestamp_us{1}}); break;
      case 15: {
        std::vector<placement> places(1 + below(3));
        for (auto& at : places) {
          at.value_file.value = static_cast<std::int32_t>(1 + below(9));
          at.record_offset = 4096 + 8 * below(99);
          at.header_bytes = 128;
        }
        list.add(make_repair(of, places, {{"a", "b"}}));
        break;
      }
      default:
        switch (below(3)) {
          case 0:
            list.add(
              collection_record{collection_id{static_cast<std::int32_t>(1 + below(3))}, below(2) == 0});
            break;
          case 1: {
            const auto id = static_cast<std::int32_t>(1 + below(3));
            list.add(node_record{node_id{id}, "node-" + std::to_string(id),
                                 "host-" + std::to_string(below(9)), static_cast<std::int32_t>(below(1000))});
            break;
          }
          default:
            list.add(file_space_record{space_id{static_cast<std::int32_t>(1 + below(2))},
                                       below(2) == 0 ? space_purpose::journal : space_purpose::storage,
                                       "/srv/" + std::to_string(below(3)), "vol", timestamp_us{5}});
        }
    }
  }
  return list;
}

} // namespace cairn
