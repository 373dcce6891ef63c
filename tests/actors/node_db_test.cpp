// The end of a stop: which files' rows may be closed.

#include "actors/node_db.hpp"
#include "tests/actors/stepped_node.hpp"
#include "tests/support/log_records.hpp"

#include <caf/send.hpp>

namespace cairn {
namespace {

using namespace std::chrono_literals;

class NodeDbTest : public actor_fixture {
protected:
  NodeDbTest() {
    auto recovered = std::make_shared<recovered_store>();
    recovered->database = database.open();
    EXPECT_TRUE(recovered->database->put_value_files(std::vector{summary.open_row()}));
    node_db_options options;
    options.writer = spawn(writer_stub, &inbox);
    options.vitals = std::make_shared<node_vitals>();
    node_db = spawn(cairn::node_db, std::move(options), std::move(recovered));
    list.add_entire(make_identity(1, 1));
    run();
  }

  /// A round with the records of the list.
  void fold() {
    auto job = std::make_shared<fold_job>();
    job->round = round_number{1};
    job->records = list.all();
    job->new_position = list.last_lsn();
    caf::anon_send(node_db, fold_round{std::move(job)});
    run();
  }
  void commit() {
    caf::anon_send(node_db, commit_round{});
    run();
  }
  /// The log ended with this record.
  void finish(log_sequence_number last_lsn) {
    auto closed = std::make_shared<value_log::close_outcome>();
    closed->id = value_file_id{1};
    closed->space = space_id{1};
    closed->row = summary.closed_row(file_header_bytes, timestamp_us{2});
    closed->last_lsn = last_lsn;
    const auto finished = ask<database_finished>(node_db, finish_database{std::move(closed)});
    run();
    EXPECT_TRUE(finished->reply);
  }
  [[nodiscard]] std::string row_is_open() const {
    return database.query("SELECT close_time IS NULL FROM cairn.value_file WHERE id = 1");
  }

  test_database database;
  value_file_summary summary{value_file_id{1}, space_id{1}, timestamp_us{1}};
  record_list list;
  writer_inbox inbox;
  node_db_actor node_db;
};

TEST_F(NodeDbTest, FileWhoseRecordsAreAllInTheDatabaseIsClosed) {
  fold();
  commit();
  finish(list.last_lsn());
  EXPECT_EQ(row_is_open(), "f");
}

TEST_F(NodeDbTest, FileWithARecordThatIsNotInTheDatabaseStaysOpen) {
  fold();
  commit();
  finish(log_sequence_number{list.last_lsn().value + 1});
  EXPECT_EQ(row_is_open(), "t") << "the next start would not look for it";
}

TEST_F(NodeDbTest, FileStaysOpenWhileARoundIsUnderWay) {
  fold();
  finish(list.last_lsn());
  EXPECT_EQ(row_is_open(), "t");
  EXPECT_EQ(database.query("SELECT count(*) FROM cairn.segment"), "0");
}

TEST(StopTest, RoundThatTheDatabaseNeverGotIsReplayedAtTheNextStart) {
  stepped_node node([](node_settings& settings) { settings.min_overlapping_round = 1; });
  const auto first = node.send<archive_reply>(sample_entire(1));
  node.run_without({"cairn.node_db"});
  const auto second = node.send<archive_reply>(sample_entire(2));
  node.run_without({"cairn.node_db"});
  ASSERT_EQ(node.state().vitals->completions_waiting.load(), 2);

  // The file is closed while the first round is at the database, and the second one in the file alone.
  const auto stopped = node.stop();
  node.run_without({"cairn.node_db"});
  caf::anon_send_exit(caf::actor_cast<caf::actor>(node.state().writer), caf::exit_reason::kill);
  node.run_without({"cairn.node_db"});
  node.pass(26s); // the writer, which is gone, does not say that it has stopped
  EXPECT_TRUE(stopped->reply) << (stopped->error ? caf::to_string(*stopped->error) : "no answer");

  node.restart();
  EXPECT_EQ(node.database().query("SELECT count(*) FROM cairn.segment WHERE status = 'F'"), "2");
}

} // namespace
} // namespace cairn
