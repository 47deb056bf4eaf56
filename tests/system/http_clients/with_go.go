// SPDX-License-Identifier: Apache-2.0
// net/http, as an agent uses it. Argument: the base URL.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
)

func ask(method, url string, body io.Reader) (int, []byte) {
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		panic(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		panic(err)
	}
	return answer.StatusCode, content
}

func expect(fine bool, what string) {
	if !fine {
		panic(what)
	}
}

func main() {
	base := os.Args[1]
	var group sync.WaitGroup
	for i := 0; i < 20; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			status, body := ask("GET", base+"/echo", nil)
			expect(status == 200 && string(body) == "GET /echo \n", string(body))
		}()
	}
	group.Wait()
	status, _ := ask("PUT", base+"/upload/go", io.MultiReader(strings.NewReader(strings.Repeat("g", 100000))))
	expect(status == 201 || status == 204, "a chunked upload")
	status, body := ask("DELETE", base+"/upload/go", nil)
	var problem struct{ Rule string }
	expect(status == 403 && json.Unmarshal(body, &problem) == nil && problem.Rule == "no-delete", string(body))
	status, body = ask("GET", base+"/big", nil)
	expect(status == 200 && len(body) == 1000000, "a download")
	fmt.Println("go fine")
}
