#pragma once
/// What the clients know of the node: what they sent, what was acknowledged, what they saw. A fact that was
/// sent and not answered may be so or not, until somebody looks; what was seen stays.

#include "core/messages.hpp"

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace cairn::power {

enum class belief : std::uint8_t { no, maybe, yes };

/// Something that one record of the log makes so.
struct fact {
  belief is_so = belief::no;
  int unanswered = 0;           ///< requests for it in flight, or lost
  std::optional<receipt> proof; ///< of its acknowledgement

  void sent() {
    if (is_so == belief::no)
      is_so = belief::maybe;
    ++unanswered;
  }
  void refused() { // for certain
    if (--unanswered == 0 && is_so == belief::maybe)
      is_so = belief::no;
  }
  void acknowledged(const receipt& of) {
    --unanswered;
    is_so = belief::yes;
    if (of.lsn != log_sequence_number{})
      proof = of;
  }
  /// Somebody looked when nothing was in flight.
  void seen(bool so) {
    is_so = so ? belief::yes : belief::no;
    unanswered = 0;
  }
};

/// One segment key, its content, and what became of it.
struct upload {
  segment_info segment;
  node_names nodes;
  std::vector<sequence_info> sequences;
  std::vector<payload> data;
  file_info file;
  metadata meta;

  std::size_t client = 0; ///< that sends it
  std::size_t sent = 0;   ///< of its sequences
  int life = 0;           ///< of the node, when its first one was sent
  bool is_open = true;    ///< there is more to send
  bool start_acknowledged = false;
  fact stored;
  fact cancelled;
  belief purged = belief::no;
  bool is_retired = false;       ///< a cancel or purge was sent: an acknowledged final proves nothing
  bool may_be_cancelled = false; ///< by a gateway start
  bool must_not_finish = false;  ///< a gateway start has cancelled it
  bool has_survived = false;     ///< it was there after a start: its bytes are durable
  bool has_rotted = false;       ///< on the disk, and no receipt is known of what mended it
  bool may_be_damaged = false;   ///< and it is not known that they are mended
  bool damage_is_known = false;  ///< a reader has found it

  [[nodiscard]] named_segment_key key() const {
    return {segment.version, segment.conjoined_part, segment.segment_num, nodes.handoff};
  }
  void mended() { may_be_damaged = damage_is_known = false; }
  /// No other mend of it is under way. @param of empty: it was mended before
  void mended_by(const receipt& of) {
    mended();
    has_rotted = has_rotted && of.lsn == log_sequence_number{};
  }
  [[nodiscard]] bool is_entire() const { return data.size() == 1; }

  // Its messages.
  [[nodiscard]] archive_key_entire entire() const {
    return {{}, segment, sequences[0], file, nodes, meta, data[0]};
  }
  [[nodiscard]] archive_key_start start() const { return {{}, segment, sequences[0], nodes, data[0]}; }
  [[nodiscard]] archive_key_next next(std::size_t number) const {
    return {{}, key(), sequences[number], data[number]};
  }
  [[nodiscard]] archive_key_final final() const {
    return {{}, key(), sequences.back(), file, meta, data.back()};
  }
};

struct tombstone {
  destroy_key message;
  fact recorded;
};

/// The row of a conjoined archive; its parts are uploads.
struct conjoined {
  collection_id collection;
  std::string key;
  unified_id version;
  fact completed, aborted;
};

/// Everything; deques, for references into them stay.
struct facts {
  std::deque<upload> uploads;
  std::deque<tombstone> tombstones;
  std::deque<conjoined> conjoined_rows;
  fact knows_east;                                      ///< the node's name
  std::map<log_sequence_number, std::string> given_out; ///< numbers in receipts, and for what
  std::size_t mended = 0;                               ///< damaged archives that a repeat made good
};

std::string describe(const named_segment_key& key);
std::string describe(const upload& of);

/// Keeps in mind what the log number of a receipt, if there is one, acknowledges.
/// @throws broken_promise: it acknowledges something else already
void note_proof(facts& known, const receipt& proof, const std::string& what);

} // namespace cairn::power
