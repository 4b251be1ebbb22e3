// Command monitor asks every node of a cluster what a monitor asks, and prints what each has answered: which groups it
// coordinates and which replicas it holds. A monitor adds these up, so nothing may come from two nodes.
//
// usage: monitor sarama|franz-go ADDRESS
// Prints {"groups": {GROUP: [NODE...]}, "sizes": {TOPIC-PARTITION: {NODE: BYTES}}}.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const patience = 30 * time.Second

type answers struct {
	Groups map[string][]int32         `json:"groups"`
	Sizes  map[string]map[int32]int64 `json:"sizes"`
}

func main() {
	if len(os.Args) != 3 {
		check(fmt.Errorf("usage: monitor sarama|franz-go ADDRESS"))
	}
	told := answers{Groups: map[string][]int32{}, Sizes: map[string]map[int32]int64{}}
	switch os.Args[1] {
	case "sarama":
		askWithSarama(os.Args[2], &told)
	case "franz-go":
		askWithFranzGo(os.Args[2], &told)
	default:
		check(fmt.Errorf("no client %q", os.Args[1]))
	}
	check(json.NewEncoder(os.Stdout).Encode(told))
}

func (told *answers) replica(topic string, partition, node int32, bytes int64) {
	name := fmt.Sprintf("%s-%d", topic, partition)
	if told.Sizes[name] == nil {
		told.Sizes[name] = map[int32]int64{}
	}
	told.Sizes[name][node] += bytes
}

func askWithSarama(address string, told *answers) {
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	client, err := sarama.NewClient([]string{address}, config)
	check(err)
	defer client.Close()
	for _, broker := range client.Brokers() {
		if err := broker.Open(client.Config()); err != nil && err != sarama.ErrAlreadyConnected {
			check(err)
		}
		groups, err := broker.ListGroups(&sarama.ListGroupsRequest{})
		check(err)
		for name := range groups.Groups {
			told.Groups[name] = append(told.Groups[name], broker.ID())
		}
		folders, err := broker.DescribeLogDirs(&sarama.DescribeLogDirsRequest{Version: 1})
		check(err)
		for _, folder := range folders.LogDirs {
			for _, topic := range folder.Topics {
				for _, partition := range topic.Partitions {
					told.replica(topic.Topic, partition.PartitionID, broker.ID(), partition.Size)
				}
			}
		}
	}
}

func askWithFranzGo(address string, told *answers) {
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	check(err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	groups := kmsg.NewPtrListGroupsRequest()
	for _, shard := range client.RequestSharded(ctx, groups) {
		check(shard.Err)
		for _, group := range shard.Resp.(*kmsg.ListGroupsResponse).Groups {
			told.Groups[group.Group] = append(told.Groups[group.Group], shard.Meta.NodeID)
		}
	}
	for _, shard := range client.RequestSharded(ctx, kmsg.NewPtrDescribeLogDirsRequest()) {
		check(shard.Err)
		for _, folder := range shard.Resp.(*kmsg.DescribeLogDirsResponse).Dirs {
			for _, topic := range folder.Topics {
				for _, partition := range topic.Partitions {
					told.replica(topic.Topic, partition.Partition, shard.Meta.NodeID, partition.Size)
				}
			}
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
