#pragma once
/// A client that loads a node, remembers what was acknowledged, and later compares the node with its memory.

#include "net/client.hpp"
#include "net/network.hpp"
#include "tests/crash/load_watch.hpp"
#include "tests/crash/log_evidence.hpp"
#include "tests/crash/numbered_object.hpp"

#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace cairn::crash {

/// What the replies so far say about an object.
enum class presence : std::uint8_t {
  absent,  ///< nobody may see it: never finished, deleted, cancelled, or refused for good
  present, ///< whole
  open,    ///< asked and not answered: whole or absent
};

/// What is known of an object's bytes on the disk.
enum class condition : std::uint8_t {
  sound,
  rotten,  ///< changed while the node was down: the next reader must find it
  damaged, ///< found, to be mended by an archive
  unclear, ///< the archive is under way, or had no answer: damaged, or mended for good
};

/// Counts over a run.
struct tally {
  std::uint64_t receipts = 0;       ///< compared with the disk
  std::uint64_t objects_read = 0;   ///< byte for byte
  std::uint64_t objects_hidden = 0; ///< as they must be
  std::uint64_t open_whole = 0;     ///< never acknowledged, found whole after a restart
  std::uint64_t open_absent = 0;    ///< never acknowledged, found absent after a restart
  std::uint64_t damaged = 0;        ///< found after a restart, rotten before it
  std::uint64_t mended = 0;         ///< damaged ones, acknowledged
  std::uint64_t lost = 0;

  tally& operator+=(const tally& more);
};

/// Has an actor system of its own. One thread at a time; what it remembers grows by some 100 bytes an object.
class crash_client {
public:
  /// @param index tells clients of one test apart
  crash_client(std::uint64_t seed, std::uint64_t index, std::string data_directory);

  /// Sends with several requests under way until the watch says stop, the host is gone, or it is stopping.
  /// A host that is gone already is none to load.
  void load(const host_port& host, load_watch& watch);
  /// Compares all that it remembers with the node and with the disk.
  /// @param is_settled the node was started again since the last load: what was open is decided now, and must
  /// stay so
  void verify(const host_port& host, bool is_settled);
  /// The host is down: bytes of one object rot on the disk.
  void rot();

  [[nodiscard]] const tally& counts() const { return counts_; }
  /// What was lost or answered in a way that the contract has not, one line each.
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }

private:
  struct remembered {
    std::uint64_t number;
    unified_id version;
    presence state;
    receipt stored; ///< of its final record; none for conjoined ones, and while it may be damaged
    condition bytes = condition::sound;
    value_file_id value_file{}; ///< where its first byte was when somebody looked; zero: nobody did
    std::uint64_t offset_bytes = 0;
  };
  /// Messages under way about one object. The reply to the last decides.
  struct operation {
    std::size_t object;
    fact what;
    presence done;      ///< what the object is after a success
    presence otherwise; ///< after a definite failure
    bool is_promise;    ///< a success tells that something is durable
    std::vector<pending_reply<archive_reply>> replies;
  };

  void use(const client& by) { node_name_ = by.node().node; }
  operation begin(client& by);
  operation store(client& by);
  bool store_parts(client& by, std::uint64_t number, unified_id version);
  operation give_up(client& by);
  operation remove(client& by, std::size_t index);
  operation mend(client& by, std::size_t index);
  std::optional<std::size_t> next_damaged();
  /// One of those that are wanted and present.
  template <class Wanted>
  std::optional<std::size_t> any_present(Wanted&& is_wanted);
  void settle(operation op, load_watch& watch);
  void keep(const archive_reply& reply, fact what, unified_id version);

  struct question;
  question ask_about(client& by, remembered& object);
  void compare(client& by, question& asked, bool is_settled);
  void compare_content(client& by, question& asked, const lookup_reply& found, bool is_settled);
  static bool is_known_damage(const remembered& object, errc answer);
  void found_damaged(remembered& object, bool is_settled);
  void found_whole(remembered& object);
  void compare_receipts();
  void report(const remembered& object, const std::string& what);
  [[nodiscard]] harness::sample_object segment_of(const remembered& object, std::size_t part) const;

  const std::uint64_t seed_;
  std::mt19937_64 random_;
  std::uint64_t next_number_;
  std::unique_ptr<network> net_;
  std::string node_name_;
  log_evidence evidence_;
  std::vector<remembered> objects_;
  std::vector<kept_receipt> receipts_; ///< of all that is not in objects_
  bool is_over_ = false;               ///< the host is gone or going
  tally counts_;
  std::vector<std::string> problems_;
};

} // namespace cairn::crash
